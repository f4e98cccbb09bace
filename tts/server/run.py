"""Listens, answers, and ends in peace: `tts serve` without its flags."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

import uvicorn

from tts.errors import InputError
from tts.server.app import build_app
from tts.server.guard import is_loopback
from tts.server.keys import Clients
from tts.server.service import DEFAULT_MAX_CONCURRENCY, Service
from tts.session.runtime import Runtime
from tts.types import Budget

_KEEP_ALIVE_SECONDS = 30
_LAST_SECONDS = 5.0  # after the grace, for answers to leave
logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Ends by letting requests finish, then by answering them with what they have.

    Args:
        service: Solves requests.
        grace_seconds: For requests to finish once the end has been asked for.

    Attributes:
        service: As given.
    """

    def __init__(self, service: Service, *, grace_seconds: float) -> None:
        config = uvicorn.Config(
            build_app(service),
            access_log=False,
            log_config=None,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(grace_seconds + _LAST_SECONDS) + 1,
            ws="none",
        )
        super().__init__(config)
        self.service = service
        self._grace_seconds = grace_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, and return when those under way have been answered."""
        self.service.is_ending = True
        loop = asyncio.get_running_loop()
        ending = loop.call_later(self._grace_seconds, self.service.end)
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()
            self._captured_signals.clear()  # obeyed: not to be raised again


async def serve(
    runtime: Runtime,
    *,
    host: str,
    port: int,
    presets: Sequence[str] = (),
    clients: Clients,
    max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
    budget: Budget | None = None,
    grace_seconds: float = 30.0,
    on_start: Callable[[str, "Server"], None] = lambda url, server: None,
) -> None:
    """Serve until the process is asked to end.

    Args:
        runtime: Not yet used; it is closed at the end.
        host: Address to listen at.
        port: 0 takes a free one.
        presets: Their names or files; none for all that the engine can carry.
        clients: Who may ask.
        max_concurrency: Most requests under way.
        budget: Hard limits for each request.
        grace_seconds: For requests to finish once the end has been asked for.
        on_start: Told the address once requests are taken.

    Raises:
        InputError: It cannot listen there, or should not without keys, or a preset is wrong.
        EngineError: A model cannot be loaded.
    """
    if not clients.has_keys and not is_loopback(host):
        raise InputError(
            f"--host {host} lets in whoever can reach it: name a key with --api-key-env, or keys "
            "of several clients with --keys"
        )
    with listening(host, port) as found:
        async with Service.opened(
            runtime, presets, clients=clients, max_concurrency=max_concurrency, budget=budget
        ) as service:
            found.listen(2048)
            name = f"[{host}]" if ":" in host else host
            server = Server(service, grace_seconds=grace_seconds)
            on_start(f"http://{name}:{found.getsockname()[1]}", server)
            await server.serve(sockets=[found])


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address, before anything is loaded.

    Raises:
        InputError: The address is taken, or none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise InputError(f"cannot listen at {host}:{port}: {error.strerror or error}") from None
    return bound
