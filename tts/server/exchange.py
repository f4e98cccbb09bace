"""One request from its body to the last byte of its answer, and its end when the client hangs up.

A request is run in a task of its own beside one that waits for the client to leave; whichever ends
first ends the other. What a stream has to tell is looked up when the client can take more, so that
a slow reader makes nothing pile up.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tts.errors import TTSError, innermost
from tts.runtime.progress import Progress
from tts.server.answers import Refusal, check_result, refusal_of
from tts.server.keys import Client
from tts.server.service import Planned, Service
from tts.types import Result

_WRITE_SECONDS = 60.0  # for a client to take what was written, before it is given up
_COMMENT_SECONDS = 0.1  # at most so often is told how far the samples are
_COUNTING_SECONDS = 0.01
_ALIVE_SECONDS = 15.0  # at least so often something is sent, for proxies that cut silence
_HUNG_UP = 499  # as nginx counts it; nobody receives it
logger = logging.getLogger(__name__)


class Form(Protocol):
    """How one of the protocols writes an answer."""

    def whole(self, result: Result) -> dict[str, Any]:
        """Return the body of an answer that is not streamed."""
        ...

    def progress(self, progress: Progress) -> list[bytes]:
        """Return the events that tell what is new; none for nothing."""
        ...

    def last(self, result: Result) -> list[bytes]:
        """Return the events that end a stream."""
        ...


class Gone(Exception):
    """The client has hung up."""


async def answer(
    service: Service, client: Client, planned: Planned, form: Form, request: Request
) -> Response:
    """Return a request's answer, or begin to stream it."""
    if planned.asked.is_stream:
        return EventStream(service, client, planned, form)
    began = time.monotonic()
    try:
        result = await _unless_gone(service.solve(planned, client), request.receive)
        check_result(result, is_spent=service.has_spent(client))
        response: Response = JSONResponse(form.whole(result))
    except Gone:
        return refused(service, planned, Refusal(_HUNG_UP, "the client has left", "hung_up"))
    except Exception as error:
        return refused(service, planned, told(error))
    _count(service, planned, 200, began)
    return response


def refused(service: Service, planned: Planned | None, refusal: Refusal) -> Response:
    """Return an error as an answer, and count it."""
    service.meters.requests.labels(_model(service, planned), str(refusal.status)).inc()
    return JSONResponse(refusal.body(), refusal.status, headers=refusal.headers())


class EventStream(Response):
    """An answer as server-sent events."""

    def __init__(self, service: Service, client: Client, planned: Planned, form: Form) -> None:
        super().__init__(
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        del self.headers["content-length"]
        self._service, self._client, self._planned = service, client, planned
        self._form = form
        answer_type = planned.job.problem.answer_type
        self._progress = Progress(answer_type, reads_along=planned.has_writer)
        self._has_begun = False
        self._status = 200
        self._began = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request and send what comes of it, until it ends or the client leaves."""
        try:
            await _unless_gone(self._run(send), receive)
        except (Gone, TimeoutError):
            self._status = _HUNG_UP
        _count(self._service, self._planned, self._status, self._began)

    async def _run(self, send: Send) -> None:
        work = asyncio.create_task(self._solve())
        try:
            async for events in self._events(work):
                await self._send(send, b"".join(events))
        except Refusal as refusal:
            self._status = refusal.status
            await self._refuse(send, refusal)
            return
        finally:
            work.cancel()
            await asyncio.wait([work])
        await self._write(send, {"type": "http.response.body", "body": b""})

    async def _solve(self) -> Result:
        try:
            return await self._service.solve(self._planned, self._client, self._progress)
        finally:
            self._progress.end()

    async def _events(self, work: asyncio.Task[Result]) -> AsyncIterator[list[bytes]]:
        """Yield what is to be sent, as it comes.

        Raises:
            Refusal: There is no answer.
        """
        sent = time.monotonic()
        while not work.done():
            left = max(0.0, sent + _ALIVE_SECONDS - time.monotonic())
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._progress.changed()
            if not self._planned.has_writer:  # for what came to be counted, or to settle it
                await asyncio.wait([work], timeout=_COUNTING_SECONDS)
            if work.done():
                break
            try:
                events = self._form.progress(self._progress)
            except Exception as error:
                raise told(error) from None
            if not events and time.monotonic() - sent >= _ALIVE_SECONDS:
                events = [b": \n\n"]
            if events:
                yield events
                sent = time.monotonic()
            if not self._planned.has_writer:
                await asyncio.wait([work], timeout=_COMMENT_SECONDS)
        try:
            result = work.result()
            check_result(result, is_spent=self._service.has_spent(self._client))
            last = self._form.last(result)
        except Exception as error:
            raise told(error) from None
        yield last

    async def _send(self, send: Send, data: bytes) -> None:
        if not self._has_begun:
            self._has_begun = True
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await self._write(send, start)
        if data:
            body = {"type": "http.response.body", "body": data, "more_body": True}
            await self._write(send, body)

    async def _refuse(self, send: Send, refusal: Refusal) -> None:
        """Tell why there is no answer: by the status, or within a stream that has begun."""
        body = json.dumps(refusal.body()).encode()
        if self._has_begun:
            await self._send(send, b"data: " + body + b"\n\ndata: [DONE]\n\n")
            await self._write(send, {"type": "http.response.body", "body": b""})
            return
        headers = {"content-type": "application/json", **refusal.headers()}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        start = {"type": "http.response.start", "status": refusal.status, "headers": raw}
        await self._write(send, start)
        await self._write(send, {"type": "http.response.body", "body": body})

    async def _write(self, send: Send, message: Any) -> None:
        """Send; a client that takes nothing for a minute is taken to be gone.

        Raises:
            TimeoutError: It is.
        """
        async with asyncio.timeout(_WRITE_SECONDS):
            await send(message)


async def _unless_gone(work: Any, receive: Callable[[], Awaitable[Any]]) -> Any:
    """Return what some work comes to; end it when the client hangs up.

    Raises:
        Gone: It has.
    """
    task, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait([task, leaving], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Gone
    finally:
        task.cancel()
        leaving.cancel()
        await asyncio.wait([task, leaving])


async def _left(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def told(error: Exception) -> Refusal:
    """Return how an error is told; one that nobody foresaw is written to the log."""
    first = innermost(error)
    if not isinstance(first, TTSError | Refusal) and refusal_of(first).status == 500:
        logger.error("a request has failed", exc_info=error)
    return refusal_of(first)


def _count(service: Service, planned: Planned, status: int, began: float) -> None:
    model = _model(service, planned)
    service.meters.requests.labels(model, str(status)).inc()
    service.meters.seconds.labels(model).observe(time.monotonic() - began)


def _model(service: Service, planned: Planned | None) -> str:
    return "" if planned is None else planned.job.preset
