"""HTTP to one server: time limits, bounded answers, streams of events; every failure a `Fault`.

Redirects are not followed: the body of a POST would be lost, and the key sent elsewhere.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from pydantic_core import from_json

from tts.engine.remote.address import Address
from tts.engine.remote.faults import Fault, from_response, shorten

Take = Callable[[Any, bool], bool]
_LARGEST_ERROR = 2**20
_LARGEST_EVENT = 2**26
_KEEP_SECONDS = 4.0  # an idle connection; uvicorn, and so vLLM, closes it after 5
_GRACE_SECONDS = 5.0  # between a server's last sample and the end of its stream


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a call may take.

    Attributes:
        connect: Until the server has taken the connection.
        read: Between two pieces of the answer, and until the first.
        whole: From start to end.
    """

    connect: float = 10.0
    read: float = 600.0
    whole: float = 3600.0


class Transport:
    """Connections to one server, for one event loop."""

    def __init__(self, address: Address, limits: Limits) -> None:
        self._address = address
        self._limits = limits
        self._proxy = _proxy(address.base_url)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_SECONDS),
            headers={**address.headers, "Content-Type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=2**16,
            max_field_size=2**16,
        )

    async def get(self, url: str, *, seconds: float) -> Any:
        """Return the JSON of an address.

        Raises:
            Fault: There is none, or not within these seconds.
        """
        whole = min(seconds, self._limits.whole)
        async with _Guard(self._address, whole), self._open("GET", url) as response:
            body = await _read(response, _LARGEST_EVENT)
            if response.status != 200:
                raise from_response(response.status, response.headers, body)
            return _parse(body)

    async def post(self, url: str, body: Mapping[str, Any], take: Take, *, most_bytes: int) -> bool:
        """Send a call, and hand each event of its stream (or its whole answer) to `take`.

        Args:
            url: Where to.
            body: What is asked.
            take: Is given what came and whether this is the whole answer; returns whether all that
                was asked has come.
            most_bytes: Of the answer.

        Returns:
            Whether the answer came to its end, and did not merely stop.

        Raises:
            Fault: The call failed, at once or on its way.
        """
        data = json.dumps(body, separators=(",", ":")).encode()
        guard = _Guard(self._address, self._limits.whole)
        async with guard, self._open("POST", url, data) as response:
            if response.status != 200:
                content = await _read(response, _LARGEST_ERROR)
                raise from_response(response.status, response.headers, content)
            if "event-stream" not in response.headers.get("Content-Type", ""):
                take(_parse(await _read(response, most_bytes)), True)
                return True
            return await _follow(response, guard, take, most_bytes)
        return True  # all had come; the end of the stream had not

    def _open(self, method: str, url: str, data: bytes | None = None) -> Any:
        connect, read = self._limits.connect, self._limits.read
        return self._session.request(
            method,
            url,
            data=data,
            allow_redirects=False,
            proxy=self._proxy,
            timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_read=read),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


class _Guard:
    """A block of HTTP within a time limit, whose failures are faults that hold no secret."""

    def __init__(self, address: Address, seconds: float) -> None:
        self._address = address
        self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)
        self._is_complete = False

    def complete(self) -> None:
        """Say that all has come, and that only the end of the answer is waited for."""
        if not self._is_complete:
            self._is_complete = True
            soon = asyncio.get_running_loop().time() + _GRACE_SECONDS
            self._timeout.reschedule(min(self._timeout.when() or soon, soon))

    async def __aenter__(self) -> Self:
        """Begin the block."""
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """End the block; a failure after all has come is none.

        Raises:
            Fault: In place of what went wrong.
        """
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError:
            if self._is_complete:
                return True
            url = self._address.base_url
            message = f"{url} did not finish its answer within {self._seconds:g} s"
            raise Fault("late", message) from None
        if isinstance(error, Fault):
            error.message = self._clean(error.message)
        if error is None or not isinstance(error, aiohttp.ClientError | TimeoutError | ValueError):
            return False
        if self._is_complete:
            return True
        raise self._explain(error) from None  # its text and headers may hold the key

    def _explain(self, error: Exception) -> Fault:
        url = self._address.base_url
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return Fault("unreachable", f"cannot reach {url}: it takes no connection in time")
        if isinstance(error, TimeoutError):
            return Fault("silent", f"{url} sent nothing for too long")
        if isinstance(error, aiohttp.ClientConnectorError):
            return Fault("unreachable", f"cannot reach {url}: {shorten(str(error.os_error))}")
        if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
            return Fault("broken", f"{url} closed the connection before it answered")
        if isinstance(error, aiohttp.ClientPayloadError):
            return Fault("broken", f"{url} closed the connection in the middle of its answer")
        return Fault("odd", f"{url} sent no HTTP that can be read: {self._clean(str(error))}")

    def _clean(self, text: str) -> str:
        """Return a server's words as they may be shown; masked first, so that no half remains."""
        return shorten(self._address.secrets.mask(text))


async def _follow(
    response: aiohttp.ClientResponse,
    guard: _Guard,
    take: Take,
    most_bytes: int,
) -> bool:
    """Read a stream of events; returns whether it came to its end.

    Where it is cut off, what has arrived by then is taken too, so that it is counted.
    """
    events = _Events(guard, take)
    size = 0
    try:
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if len(events.rest) > _LARGEST_EVENT or size > most_bytes:
                raise Fault("odd", f"the answer is longer than {size - len(chunk):,} bytes")
            if events.add(chunk):
                return True
    except asyncio.CancelledError:
        with suppress(Fault, aiohttp.ClientError):
            events.add(response.content.read_nowait())
        raise
    if events.add(b"\n"):  # a last line without its end
        return True
    headers = response.headers
    return bool(headers.get("Transfer-Encoding") or headers.get("Content-Length"))


class _Events:
    """Bytes as they come, cut into events.

    Attributes:
        rest: Of the last line, whose end has not come.
    """

    def __init__(self, guard: _Guard, take: Take) -> None:
        self._guard = guard
        self._take = take
        self.rest = b""

    def add(self, chunk: bytes) -> bool:
        """Take the events that bytes complete; returns whether the last one has come."""
        *lines, self.rest = (self.rest + chunk).split(b"\n") if self.rest else chunk.split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return True
            if data and self._take(_parse(data), False):
                self._guard.complete()
        return False


async def _read(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    parts, size = [], 0
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size > most_bytes:
            raise Fault("odd", f"the answer is longer than {most_bytes:,} bytes", response.status)
    return b"".join(parts)


def _parse(data: bytes) -> Any:
    """Return a JSON value.

    Raises:
        Fault: It is none.
    """
    try:
        return from_json(data)  # takes a third of json's time, but no halves of characters
    except ValueError:
        return _parse_slowly(data)


def _parse_slowly(data: bytes) -> Any:
    try:
        return json.loads(data)
    except UnicodeDecodeError:
        raise Fault("odd", "the answer is not UTF-8") from None
    except (ValueError, RecursionError):
        what = "a web page" if data.lstrip()[:1] == b"<" else "no JSON"
        raise Fault("odd", f"the answer is {what}: {data[:4096]!r}") from None


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
