"""The only model of a server, asked of a server in this process."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from tts.engine.served import only_model
from tts.errors import EngineError, ModelError


class Models(BaseHTTPRequestHandler):
    """Lists models, to those who bring the key."""

    names: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        is_known = self.headers["Authorization"] == "Bearer sesame"
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        listed = [{"id": n, "object": "model", "created": 0, "owned_by": "me"} for n in self.names]
        self.wfile.write(json.dumps({"object": "list", "data": listed}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MY_KEY", "sesame")
    server = HTTPServer(("127.0.0.1", 0), Models)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_a_model_alone_needs_no_name(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Models, "names", ["me/m"])
    assert asyncio.run(only_model(url, "MY_KEY")) == "me/m"
    with pytest.raises(EngineError, match="does not say which models it has"):
        asyncio.run(only_model(url, "NO_SUCH_KEY"))


@pytest.mark.parametrize(
    ("names", "message"), [(["b", "a"], "has a, b; write MODEL@"), ([], "has no model; write")]
)
def test_otherwise_it_must_be_named(
    url: str, names: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Models, "names", names)
    with pytest.raises(ModelError, match=message):
        asyncio.run(only_model(url, "MY_KEY"))
