"""What stands before every request: who may ask, from where, and how much they may send."""

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tts.server.answers import Refusal
from tts.server.keys import Client, Clients

MAX_BODY = 8 * 2**20
_BODY_SECONDS = 60.0  # for a client to send all of a body
_DROP_SECONDS = 5.0
_DROP_BYTES = 64 * 2**20
_OPEN = ("/health",)  # for those who watch the process, who have no key


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine alone."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class Guard:
    """Refuses requests without a key, of foreign pages, or with bodies that are too large.

    Without keys only a host of this machine is answered, so that no web page can ask a server on
    loopback by a name of its own.

    Args:
        app: What is guarded.
        clients: Who may ask.
        max_body: Most bytes of a body.
    """

    def __init__(self, app: ASGIApp, clients: Clients, max_body: int = MAX_BODY) -> None:
        self._app = app
        self._clients = clients
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        client = self._clients.find(headers.get("authorization", ""))
        refusal = self._refusal(scope["path"], headers, client)
        if refusal is None:
            scope["state"] = {**scope.get("state", {}), "client": client}
            await self._app(scope, self._bounded(receive), send)
            return
        await _drop_body(receive)
        body = json.dumps(refusal.body()).encode()
        told = {**refusal.headers(), "content-type": "application/json", "connection": "close"}
        if refusal.status == 401:
            told["www-authenticate"] = "Bearer"
        raw = [(name.encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, path: str, headers: Headers, client: Client | None) -> Refusal | None:
        name = headers.get("host", "")
        host = name if name.endswith("]") else name.rpartition(":")[0] or name
        if not self._clients.has_keys and not is_loopback(host.strip("[]")):
            told = f"without keys this server answers requests to localhost alone, not to {host}"
            return Refusal(403, told, "wrong_host")
        if path not in _OPEN and client is None:
            told = "a key is needed: send it as `Authorization: Bearer KEY`"
            return Refusal(401, told, "invalid_api_key")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body:
            return _too_large(self._max_body)
        return None

    def _bounded(self, receive: Receive) -> Callable[[], Awaitable[Message]]:
        """Return a way to receive that ends with an error where a body has no end, or stalls."""
        taken, deadline, is_whole = 0, asyncio.get_running_loop().time() + _BODY_SECONDS, False

        async def take() -> Message:
            nonlocal taken, is_whole
            if is_whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise Refusal(408, "the request's body did not come", "body_timeout") from None
            taken += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if taken > self._max_body:
                raise _too_large(self._max_body)
            return message

        return take


async def _drop_body(receive: Receive) -> None:
    """Take what a client still sends, within bounds: one that cannot send on reads no refusal."""
    dropped = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DROP_SECONDS):
            while dropped < _DROP_BYTES:
                message = await receive()
                dropped += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def _too_large(most: int) -> Refusal:
    told = f"the request's body is too large: at most {most:,} bytes are taken"
    return Refusal(413, told, "body_too_large")
