"""A small HTTP server, in this process and on loopback, that misbehaves as it is told.

Who uses it gives a function from what was asked to a reply: `Json`, `Raw`, `Events`, `Hang` or
`Leave`. `talk` is the reply of a server that is in order; `tts.bench.servers.forms` has the others
by name.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

End = Literal["done", "framed", "dropped", "hang"]


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def n(self) -> int:
        """Samples that are asked for."""
        return int(self.body.get("n", 1))


@dataclass(frozen=True)
class Json:
    """A JSON value with a status."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Any bytes; `promised` is the Content-Length where it is not theirs."""

    data: bytes
    status: int = 200
    content_type: str = "text/html"
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None


@dataclass(frozen=True)
class Events:
    """A stream of events: values, raw bytes, and pauses in seconds.

    `end` says how it stops: with [DONE]; without it but in due form; by dropping the connection;
    or never.
    """

    events: Sequence[Any]
    end: End = "done"


@dataclass(frozen=True)
class Hang:
    """No answer, until the client hangs up."""


@dataclass(frozen=True)
class Leave:
    """No answer, and nobody listens for some seconds."""

    seconds: float


Reply = Json | Raw | Events | Hang | Leave
Answer = Callable[[Asked], Reply]


def refusal(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> Json:
    """Return an error as OpenAI writes it."""
    error = {"message": message, "type": "error", "code": None}
    return Json({"error": error}, status, headers or {})


def models(*names: str, owner: str = "someone", **more: Any) -> Json:
    """Return a list of models; `more` goes into each entry."""
    found = [{"id": name, "object": "model", "owned_by": owner, **more} for name in names]
    return Json({"object": "list", "data": found})


def usage(prompt: int, generated: int) -> dict[str, int]:
    """Return token counts."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
    }


def delta(index: int, text: str = "", *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of a chat's stream for one sample; `more` goes into its choice."""
    choice = {"index": index, "delta": {"content": text}, "finish_reason": finish, **more}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def choice(index: int, text: Any, *, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """Return a sample of a chat's whole answer; `more` goes into its message."""
    message = {"role": "assistant", "content": text, **more}
    return {"index": index, "message": message, "finish_reason": finish, "logprobs": None}


def whole(*choices: dict[str, Any], prompt: int = 10, generated: int = 12, **more: Any) -> Json:
    """Return a chat's whole answer."""
    value = {"object": "chat.completion", "choices": list(choices), **more}
    return Json({**value, "usage": usage(prompt, generated)})


def talk(asked: Asked, *, pieces: int = 2, n: int | None = None, pause: float = 0.0) -> Events:
    """Stream `n` samples of so many pieces, one token each: 10 prompt tokens, then the usage."""
    count = asked.n if n is None else n
    return speak(asked, [[f"{index}"] * pieces for index in range(count)], pause=pause)


def speak(asked: Asked, samples: Sequence[Sequence[str]], *, pause: float = 0.0) -> Events:
    """Stream samples in turns, a token for each piece, then the usage if it is asked for."""
    events: list[Any] = []
    for step in range(max(map(len, samples))):
        if step and pause:
            events.append(pause)
        events += [delta(i, pieces[step]) for i, pieces in enumerate(samples) if step < len(pieces)]
    events += [delta(index, finish="stop") for index in range(len(samples))]
    if asked.body.get("stream_options"):
        events.append({"choices": [], "usage": usage(10, sum(map(len, samples)))})
    return Events(events)


def vllm_talk(asked: Asked, *, pieces: int = 3) -> Events:
    """Stream as vLLM's server does: with the ids of prompt and tokens."""
    return vllm_speak(asked, [["x"] * pieces] * asked.n)


def vllm_speak(asked: Asked, samples: Sequence[Sequence[str]]) -> Events:
    """Stream samples as vLLM's server does, a token for each piece."""
    events: list[Any] = [
        {**delta(index), "prompt_token_ids": [1, 2, 3, 4, 5]} for index in range(len(samples))
    ]
    for step in range(max(map(len, samples))):
        for index, pieces in enumerate(samples):
            if step < len(pieces):
                finish = "stop" if step + 1 == len(pieces) else None
                told = {"token_ids": [7], "stop_reason": None}
                events.append(delta(index, pieces[step], finish=finish, **told))
    events.append({"choices": [], "usage": usage(5, sum(map(len, samples)))})
    return Events(events)


@dataclass
class Server:
    """Answers POSTs with `answer` and GETs with `lists`; remembers what it was asked.

    Attributes:
        answer: Of a call.
        lists: Of `GET /v1/models`; other GETs are 404, but `/version`.
        version: What `/version` says.
        asked: The calls, in order.
        most_at_once: Most calls that were under way together.
        hung_up: Set when a client has left a reply that hangs or goes on.
        prefix: Of its API's paths.
        port: Of its own choice at first, then the same again.
    """

    answer: Answer = talk
    lists: Reply = field(default_factory=lambda: models("m"))
    version: str = "0.0"
    asked: list[Asked] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)
    most_at_once: int = 0
    prefix: str = "/v1"
    port: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    _at_once: int = 0
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _listening: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it serves its API."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    @property
    def bodies(self) -> list[Any]:
        """What the calls held, in order."""
        return [asked.body for asked in self.asked]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        """Serve."""
        await self._listen()
        try:
            yield self
        finally:
            await self.vanish()

    async def _listen(self) -> None:
        self._listening = await asyncio.start_server(
            self._take, "127.0.0.1", self.port, limit=2**20, backlog=1024
        )
        self.port = self._listening.sockets[0].getsockname()[1]

    def _close(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def vanish(self) -> None:
        """Hang up on everybody and listen no more, until `come_back`."""
        self._close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def come_back(self) -> None:
        """Listen again, at the same port."""
        await self._listen()

    async def _leave(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._listen()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                asked = await _read(reader)
                if asked.method == "GET":
                    self.gets.append(asked.path)
                    await self._send(self._page(asked.path), reader, writer)
                    continue
                self.asked.append(asked)
                self.was_asked.set()
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                try:
                    goes_on = await self._send(self.answer(asked), reader, writer)
                finally:
                    self._at_once -= 1
                if not goes_on:
                    return

    def _page(self, path: str) -> Reply:
        if path == "/version":
            return Json({"version": self.version})
        return self.lists if path == f"{self.prefix}/models" else refusal(404, "no such page")

    async def _send(
        self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Send a reply; returns whether the connection goes on."""
        if isinstance(reply, Hang):
            await self._until_hung_up(reader)
            return False
        if isinstance(reply, Leave):
            if self._listening is not None:
                self._close()
                task = asyncio.create_task(self._leave(reply.seconds))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            return False
        if isinstance(reply, Events):
            return await self._stream(reply, reader, writer)
        if isinstance(reply, Json):
            data = json.dumps(reply.value).encode()
            reply = Raw(data, reply.status, "application/json", reply.headers)
        size = len(reply.data) if reply.promised is None else reply.promised
        headers = {"Content-Type": reply.content_type, "Content-Length": size, **reply.headers}
        _write_head(writer, reply.status, headers)
        writer.write(reply.data)
        await writer.drain()
        return size == len(reply.data)

    async def _stream(
        self, reply: Events, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        _write_head(writer, 200, {**head, "Connection": "close"})
        leaving = asyncio.ensure_future(self._until_hung_up(reader))
        try:
            for event in reply.events:
                if isinstance(event, int | float):
                    await asyncio.wait([leaving], timeout=event)
                elif isinstance(event, bytes):
                    _write_chunk(writer, event)
                else:
                    _write_chunk(writer, b"data: " + json.dumps(event).encode() + b"\n\n")
                if leaving.done():
                    return False
            await writer.drain()
            if reply.end == "hang":
                await leaving
            if reply.end == "done":
                _write_chunk(writer, b"data: [DONE]\n\n")
            if reply.end in ("done", "framed"):
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        finally:
            leaving.cancel()
        return False  # what the watcher of the client has read is lost

    async def _until_hung_up(self, reader: asyncio.StreamReader) -> None:
        await reader.read(1)
        self.hung_up.set()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    data = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, json.loads(data) if data else None)


def _write_head(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, Any]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode())


def _write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
