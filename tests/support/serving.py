"""A server on loopback, in a thread of its own, for tests that ask it as clients do."""

import asyncio
import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tts.protocols import Engine
from tts.server.keys import Clients
from tts.server.run import Server, serve
from tts.session.runtime import Runtime
from tts.types import Budget

QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]
_PATIENCE = 60.0


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    root: str
    server: Server
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def chat(self, model: str, key: str = "", **fields: Any) -> Reply:
        """Ask "What is 2 + 2?" unless `fields` say otherwise."""
        body = {"model": model, "messages": QUESTION, **fields}
        return self.post("/v1/chat/completions", body, key=key)

    def post(self, path: str, body: Any, *, key: str = "", **headers: str) -> Reply:
        """Send a body; bytes go as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **headers}
        if key:
            given["Authorization"] = f"Bearer {key}"
        return self._ask(urllib.request.Request(f"{self.root}{path}", data, given))

    def get(self, path: str, **headers: str) -> Reply:
        return self._ask(urllib.request.Request(f"{self.root}{path}", headers=headers))

    def lines(self, model: str, **fields: Any) -> list[str]:
        """Return the lines of a streamed chat, without the empty ones."""
        with self.open(model, **fields) as answer:
            return [line for line in answer.read().decode().split("\n") if line]

    def open(self, model: str, **fields: Any) -> http.client.HTTPResponse:
        """Begin a streamed chat."""
        body = {"model": model, "messages": QUESTION, "stream": True, **fields}
        request = urllib.request.Request(
            f"{self.url}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        opened: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_PATIENCE)
        return opened

    def _ask(self, request: urllib.request.Request) -> Reply:
        try:
            answer = urllib.request.urlopen(request, timeout=_PATIENCE)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text, kind = answer.read().decode(), answer.headers.get_content_type()
            body = json.loads(text) if kind == "application/json" else text
            return Reply(answer.status, body, dict(answer.headers))


@contextmanager
def serving(
    engine: Engine | str,
    presets: Sequence[str] = ("self_consistency",),
    *,
    clients: Clients | None = None,
    max_concurrency: int = 256,
    budget: Budget | None = None,
    grace_seconds: float = 5.0,
) -> Iterator[Serving]:
    """Serve an engine, or a model, until the block ends."""
    started: list[Serving] = []
    failed: list[BaseException] = []
    ready = threading.Event()

    def start(url: str, server: Server) -> None:
        started.append(Serving(url, server, asyncio.get_running_loop()))
        ready.set()

    def run() -> None:
        work = serve(
            Runtime(engine),
            host="127.0.0.1",
            port=0,
            presets=presets,
            clients=clients or Clients(),
            max_concurrency=max_concurrency,
            budget=budget,
            grace_seconds=grace_seconds,
            on_start=start,
        )
        try:
            asyncio.run(work)
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="serving")
    thread.start()
    ready.wait(_PATIENCE)
    try:
        if failed:
            raise failed[0]
        yield started[0]
    finally:
        if started:
            started[0].server.should_exit = True
        thread.join(_PATIENCE)
    assert not thread.is_alive(), "the server does not end"
    if failed:
        raise failed[0]


def events(lines: Sequence[str]) -> list[Any]:
    """Return the values of a stream's events, without its end."""
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]


def content(lines: Sequence[str], index: int = 0) -> list[str]:
    """Return the parts of the text that a stream brings."""
    return [
        choice["delta"]["content"]
        for event in events(lines)
        for choice in event["choices"]
        if choice["index"] == index and choice["delta"].get("content")
    ]
