"""Who may ask, how much, what becomes of clients that leave, and how a server ends."""

import asyncio
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import QUESTION, Serving, serving
from tts.engine.scripted import Ask, Line, ScriptedEngine, lines
from tts.errors import InputError, RefusedError
from tts.server.guard import is_loopback
from tts.server.keys import Client, Clients, load_clients
from tts.server.run import serve
from tts.session.runtime import Runtime
from tts.types import Budget

SAID = lines(r"it is \boxed{4}")


def endless(ask: Ask) -> Line:
    return Line("x" * 9_000 if "endless" in ask.prompt else r"it is \boxed{4}")


def client(name: str, key: str, **limits: Any) -> Client:
    return Client(name, hashlib.sha256(key.encode()).digest(), **limits)


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def hang(server: Serving, text: str = "endless", **fields: Any) -> socket.socket:
    """Send a request and read nothing; closing the socket hangs up."""
    messages = [{"role": "user", "content": text}]
    body = json.dumps({"model": "self_consistency", "messages": messages, **fields}).encode()
    address = server.root.removeprefix("http://").split(":")
    open_ = socket.create_connection((address[0], int(address[1])))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
    open_.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body)
    return open_


def test_keys_are_needed_and_each_has_its_budget() -> None:
    clients = Clients([client("a", "key-a"), client("b", "key-b", budget=Budget(calls=20))])
    with serving(ScriptedEngine(SAID), clients=clients) as server:
        assert server.chat("self_consistency").status == 401
        assert server.chat("self_consistency", key="key-c").status == 401
        assert server.get("/v1/models").status == 401
        assert server.get("/health").status == 200
        assert server.chat("self_consistency", key="key-b").status == 200  # 16 of 20 calls
        # A request's own budget that buys no sample is its fault; asking again changes nothing.
        small = server.chat("self_consistency", key="key-b", tts={"budget": "3"})
        assert (small.status, small.body["error"]["code"]) == (400, "budget_too_small")
        last = server.chat("self_consistency", key="key-b", tts={"return": ["attempts"]})
        assert len(last.body["tts"]["attempts"]) == 4
        spent = server.chat("self_consistency", key="key-b")
        assert (spent.status, spent.body["error"]["code"]) == (429, "insufficient_quota")
        assert server.chat("self_consistency", key="key-a").status == 200


def test_a_rate_is_a_full_minutes_requests_at_once_then_as_they_come() -> None:
    now = [0.0]
    fast = Client("c", rate=2, clock=lambda: now[0])
    assert [fast.wait_seconds() for _ in range(3)] == [0.0, 0.0, 30.0]
    now[0] = 29.0
    assert fast.wait_seconds() == pytest.approx(1.0)
    now[0] = 30.0
    assert fast.wait_seconds() == 0.0


def test_the_file_of_keys(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"secret").hexdigest()
    file = tmp_path / "keys.yaml"
    file.write_text(f"alice: {{key_env: ALICE, budget: 8k, rate: 60}}\nbob: {{sha256: {digest}}}\n")
    clients = load_clients(file, None, {"ALICE": "sk-a"})
    alice, bob = clients.find("Bearer sk-a"), clients.find("bearer secret")
    assert alice is not None and (alice.name, alice.budget.tokens, alice.rate) == (
        "alice",
        8000,
        60,
    )
    assert bob is not None and bob.name == "bob" and clients.find("Basic secret") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: {}", r"keys.yaml:1: client 'a': name either key_env or sha256"),
        ("a: {key_env: A}", r"keys.yaml:1: the environment variable A is not set"),
        ("b: {sha256: abc}", r"keys.yaml:1: client 'b'"),
        ("b:\n  sha: abc", r"keys.yaml:2: client 'b' has no 'sha'"),
        ("a: {key_env: B}\nb: {key_env: B}", "two clients have the same key"),
        ("a: {key_env: B, budget: x}", "cannot read 'x'"),
    ],
)
def test_a_file_of_keys_that_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=told):
        load_clients(file, None, {"B": "sk-b"})


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_world_is_let_in_with_keys_alone() -> None:
    with pytest.raises(InputError, match="--api-key-env"):
        work = serve(Runtime(ScriptedEngine(SAID)), host="0.0.0.0", port=0, clients=Clients())
        asyncio.run(work)


def test_bodies_hosts_and_types_are_bounded() -> None:
    with serving(ScriptedEngine(SAID)) as server:
        path = "/v1/chat/completions"
        assert server.post(path, b"x" * (8 * 2**20 + 1)).status == 413
        assert server.post(path, b"{").status == 400
        assert server.post(path, b"[" * 100_000).status == 400
        assert server.post(path, b"[]").status == 400
        assert server.post(path, {}, Host="evil.example").status == 403
        body = {"model": "scripted", "messages": QUESTION}
        assert server.post(path, body, **{"Content-Type": "text/plain"}).status == 415
        assert server.post(path, body).status == 200


def test_a_full_server_says_when_to_ask_again() -> None:
    engine = ScriptedEngine(endless, tick_seconds=0.002)
    with serving(engine, max_concurrency=1) as server:
        first = hang(server)
        until(lambda: engine.num_running > 0)
        refused = server.chat("self_consistency")
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        first.close()
        until(lambda: engine.num_running == 0)
        assert server.chat("self_consistency").status == 200


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_client_that_hangs_up_ends_all_that_it_had_asked_for(is_stream: bool) -> None:
    engine = ScriptedEngine(endless, tick_seconds=0.02)
    with serving(engine) as server:
        open_ = hang(server, stream=is_stream)
        until(lambda: engine.num_running == 16)
        ticks = engine.ticks
        open_.close()
        until(lambda: engine.num_running == 0)
        # Heard and acknowledged between two steps; a loaded machine may be a few late.
        assert engine.ticks - ticks <= 5
        until(lambda: "tts_hung_up_total 1.0" in server.get("/metrics").body)


def test_an_end_that_is_asked_for_returns_what_there_is() -> None:
    def some(ask: Ask) -> Line:
        return Line(r"it is \boxed{4}", hangs=ask.index > 2)

    engine = ScriptedEngine(some, tick_seconds=0.002)
    replies: list[Any] = []
    with serving(engine, grace_seconds=0.2) as server:
        asked = threading.Thread(target=lambda: replies.append(server.chat("self_consistency")))
        asked.start()
        until(lambda: engine.num_running == 13)
        server.server.should_exit = True
        asked.join(30)
    (reply,) = replies
    assert reply.status == 200 and "it was ended early" in reply.body["tts"]["reason"]


def test_a_failed_sample_costs_no_answer() -> None:
    def some(ask: Ask) -> Line:
        return Line(r"it is \boxed{4}", error="lost" if ask.index == 3 else None)

    with serving(ScriptedEngine(some)) as server:
        found = server.chat("self_consistency", tts={"return": ["support"]})
        assert (found.status, found.body["tts"]["support"]["voters"]) == (200, 15)
        assert "lost" in found.body["tts"]["reason"]


def test_a_dead_engine_is_told_by_every_answer() -> None:
    engine = ScriptedEngine(SAID, die_at=3)
    with serving(engine) as server:
        first = server.chat("self_consistency")
        assert (first.status, first.message) == (503, "the engine died")
        assert server.get("/health").status == 503
        assert server.chat("scripted").status == 503


def test_a_request_that_the_engine_refuses_is_the_clients_fault_and_nobody_elses() -> None:
    engine = ScriptedEngine(SAID, fail_at={0: RefusedError("it has no such setting")})
    with serving(engine) as server:
        refused = server.chat("self_consistency")
        assert (refused.status, refused.message) == (400, "it has no such setting")
        assert server.get("/health").status == 200
        assert server.chat("self_consistency").status == 200


def test_a_request_that_fails_harms_no_other() -> None:
    def some(ask: Ask) -> Line:
        if "break" in ask.prompt:
            raise RuntimeError("a bug, with a secret prompt in its words")
        return Line(r"it is \boxed{4}")

    with serving(ScriptedEngine(some, tick_seconds=0.002)) as server:
        broken = server.chat("scripted", messages=[{"role": "user", "content": "break"}])
        assert broken.status >= 400
        assert server.chat("self_consistency").status == 200


def test_random_hang_ups_bad_bodies_and_slow_readers_leave_nothing_behind() -> None:
    engine = ScriptedEngine(endless, tick_seconds=0.001)
    bad = (b"{", b"[]", b'{"model": 3}', b'{"model": "none", "messages": [{"role": "user"}]}')
    with serving(engine, ("self_consistency", "early_stop")) as server:
        answered: list[int] = []

        def visit(number: int) -> None:
            for turn in range(6):
                kind = (number + turn) % 4
                if kind == 0:
                    open_ = hang(server, stream=turn % 2 == 0)
                    time.sleep(0.01 * (number % 5))
                    open_.close()
                elif kind == 1:
                    answered.append(server.post("/v1/chat/completions", bad[turn % 4]).status)
                elif kind == 2:
                    answered.append(server.chat("early_stop").status)
                else:
                    open_ = hang(server, "What is 2 + 2?", stream=True)
                    time.sleep(0.05)
                    text = b""
                    while b"[DONE]" not in text:
                        part = open_.recv(16)
                        assert part
                        text += part
                    open_.close()
                    answered.append(200)

        visitors = [threading.Thread(target=visit, args=(n,)) for n in range(16)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join(60)
        until(lambda: engine.num_running == 0)
        assert len(answered) == 16 * 6 * 3 // 4 and set(answered) <= {200, 400, 404}
        until(lambda: "tts_requests_in_flight 0.0" in server.get("/metrics").body)
        tasks = asyncio.run_coroutine_threadsafe(_count_tasks(), server.loop).result(10)
        assert tasks < 12  # the server's own, and connections that are kept alive


async def _count_tasks() -> int:
    await asyncio.sleep(0.2)
    return len(asyncio.all_tasks())
