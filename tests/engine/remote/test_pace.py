"""The calls of one endpoint pause together and start at the pace at which it takes them."""

import asyncio
import itertools
import logging
import random
import time
from dataclasses import dataclass, field, replace
from email.utils import formatdate

import pytest

from tests.support.remote import ask, read, run
from tts.bench.servers.misbehaving import Asked, Events, Reply, Server, refusal, talk
from tts.bench.virtual_time import run_at_once
from tts.engine.openai import OpenAIEngine
from tts.engine.remote import pace
from tts.engine.remote.faults import wait_seconds
from tts.engine.remote.pace import Pace, backoff


@dataclass
class Window:
    """Takes so many calls in any stretch of time; a `fixed` one begins anew with each."""

    calls: int
    seconds: float
    is_fixed: bool = False
    taken: list[float] = field(default_factory=list)
    refused: int = 0

    def ask(self, now: float) -> float | None:
        """Return how long to wait, if it does not take the call."""
        start = now - self.seconds
        if self.is_fixed:
            start = now // self.seconds * self.seconds - 1e-9
        self.taken = [moment for moment in self.taken if moment > start]
        if len(self.taken) < self.calls:
            self.taken.append(now)
            return None
        self.refused += 1
        return (start if self.is_fixed else self.taken[0]) + self.seconds - now


async def call_many(window: Window, n: int, *, latency: float, tells: bool) -> float:
    """Make n calls in an endpoint's pace; returns the seconds that they took."""
    loop = asyncio.get_running_loop()
    pace = Pace(concurrency=64, rate=None)

    async def call() -> None:
        while True:
            async with pace.turn() as turn:
                await asyncio.sleep(latency)
                wait = window.ask(loop.time())
                if wait is None:
                    pace.taken()
                    return
                pace.refused(turn, wait=wait if tells else None, is_outage=False)
                assert pace.pauses <= 8  # the engine's patience

    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(call())
    return loop.time()


@pytest.mark.slow
@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize(("latency", "most"), [(0.01, 160), (0.2, 260)])
@pytest.mark.parametrize(
    "window",
    [Window(40, 0.2), Window(50, 1.0), Window(500, 60, is_fixed=True), Window(100, 10)],
    ids=lambda window: f"{window.calls} in {window.seconds:g} s",
)
def test_under_a_rate_limit_few_calls_are_refused(
    window: Window, latency: float, most: int, tells: bool
) -> None:
    """Where each call backs off alone, 448 of 2,048 were refused, and some given up."""
    window = replace(window, taken=[], refused=0)
    seconds = run_at_once(call_many(window, 2048, latency=latency, tells=tells))
    assert window.refused < most  # 64 of them were under way when the limit was first met
    shortest = 2048 / window.calls * window.seconds
    assert seconds < (1.2 if tells else 2.5) * shortest


async def call_at_random(share: float, *, n: int, is_outage: bool) -> float:
    """Make n calls to a server that refuses a share of them; returns the seconds that they took."""
    loop, chance = asyncio.get_running_loop(), random.Random(0)
    pace = Pace(concurrency=64, rate=None)

    async def call() -> None:
        while True:
            async with pace.turn() as turn:
                await asyncio.sleep(0.1)
                if chance.random() > share:
                    pace.taken()
                    return
                pace.refused(turn, wait=None, is_outage=is_outage)

    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(call())
    return loop.time()


@pytest.mark.parametrize(("is_outage", "most"), [(True, 20), (False, 1.2 * 1000)])
def test_a_server_that_refuses_at_random_is_not_asked_ever_more_slowly(
    is_outage: bool, most: float
) -> None:
    # At most a second between calls; without this bound it was 9 million seconds.
    assert run_at_once(call_at_random(0.1, n=1000, is_outage=is_outage)) < most


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 503])
def test_no_sample_is_lost_to_a_rate_limit(status: int) -> None:
    window = Window(40, 0.2)

    def answer(asked: Asked) -> Reply:
        wait = window.ask(time.monotonic())
        if wait is None:
            return talk(asked)
        return refusal(status, "slow down", headers={"Retry-After": f"{wait:.3f}"})

    async def use(engine: OpenAIEngine) -> None:
        completions = await read(engine, ask(120))
        assert all(c.finish_reason == "stop" for c in completions)
        assert window.refused

    run(Server(answer), use, max_n=1)


@pytest.mark.slow
def test_nothing_starts_while_the_server_asks_to_wait() -> None:
    times: list[float] = []

    def answer(asked: Asked) -> Reply:
        times.append(time.monotonic())
        if len(times) == 3:
            return refusal(429, "slow down", headers={"Retry-After": "0.2"})
        return talk(asked)

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask(12))
        assert times[3] - times[2] >= 0.19  # however slow the machine is
        assert len(times) == 12 + 1  # the one that was refused was made again, and no other

    run(Server(answer), use, max_n=1, concurrency=1)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "2"}, 2.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After-Ms": "250"}, 0.25),
    ],
)
def test_retry_after_is_in_seconds(headers: dict[str, str], expected: float) -> None:
    assert wait_seconds(headers) == expected


@pytest.mark.parametrize(("ahead", "expected"), [(3600, 3600.0), (-60, 0.0)])
def test_retry_after_may_be_a_date(ahead: float, expected: float) -> None:
    date = formatdate(time.time() + ahead, usegmt=True)  # in whole seconds
    assert wait_seconds({"Retry-After": date}) == pytest.approx(expected, abs=2.0)


@pytest.mark.parametrize("text", ["soon", "-3", "nan", "inf", "", "Mon, 99 Foo 2020"])
def test_a_retry_after_that_makes_no_sense_is_none(text: str) -> None:
    assert wait_seconds({"Retry-After": text}) is None


def test_a_server_that_asks_to_wait_for_hours_is_not_waited_for() -> None:
    server = Server(lambda _: refusal(429, "come back tomorrow", headers={"Retry-After": "86400"}))

    async def use(engine: OpenAIEngine) -> None:
        (completion,) = await read(engine, ask())
        assert completion.error is not None
        assert completion.error.endswith("come back tomorrow; it asks to wait 1,440 minutes")

    run(server, use)


def test_a_long_pause_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tts.engine.remote.request._TOLD_SECONDS", 0.01)

    def answer(asked: Asked) -> Reply:
        if next(calls) > 2:
            return talk(asked)
        return refusal(429, "full", headers={"Retry-After": wait})

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask())

    for wait in ("0.001", "0.02"):
        calls = itertools.count()
        with caplog.at_level(logging.WARNING):
            run(Server(answer), use)
        told = caplog.text.count("gives no answer (429: full): calls wait 0 s, and are made again")
        assert told == (wait == "0.02")


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [backoff(k) for k in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert sum(backoff(k) for k in range(1, 9)) == 91.5  # what the engine's docstring says


def test_a_server_that_is_away_for_a_while_loses_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_FIRST_PAUSE_SECONDS", 0.02)

    async def main() -> None:
        server = Server()
        async with server.running():
            engine = OpenAIEngine("m", base_url=server.url, max_n=1)
            await read(engine, ask())
        reading = asyncio.create_task(read(engine, ask(20)))
        await asyncio.sleep(0.2)  # of 0.02 + 0.04 + ... + 0.64 + 1.28
        async with server.running():
            completions = await reading
            assert [c.finish_reason for c in completions] == ["stop"] * 20
            await engine.aclose()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_server_that_stays_away_fails_all_calls_without_asking_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "_FIRST_PAUSE_SECONDS", 0.001)

    async def main() -> None:
        server = Server()
        async with server.running():
            engine = OpenAIEngine("m", base_url=server.url, max_n=1, max_retries=3)
            await read(engine, ask())
        for n in (200, 200):
            completions = await read(engine, ask(n))
            assert {c.finish_reason for c in completions} == {"error"}
            assert "cannot reach" in (completions[-1].error or "")
        async with server.running():
            connection = next(iter(engine._connections.values()))
            connection.pace.taken()  # as a probe would
            assert (await read(engine, ask()))[0].finish_reason == "stop"
            await engine.aclose()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_one_call_that_is_always_refused_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenAI answers 429 to a prompt that is larger than a minute's tokens, whenever it comes."""
    monkeypatch.setattr(pace, "_FIRST_PAUSE_SECONDS", 0.0)

    def answer(asked: Asked) -> Reply:
        return refusal(429, "too large") if asked.body["seed"] == 101 else talk(asked)

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask())
        others = asyncio.create_task(read(engine, ask(1)))
        completions = await read(engine, ask(2))
        assert [c.finish_reason for c in completions] == ["stop", "error"]
        await others

    run(Server(answer), use, max_n=1, max_retries=3)


def test_no_more_calls_are_under_way_than_allowed() -> None:
    server = Server(lambda asked: talk(asked, pause=0.01))

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask(20))
        assert server.most_at_once == 3

    run(server, use, max_n=1, concurrency=3)


def test_the_first_call_goes_alone_until_its_answer_begins() -> None:
    starts: list[float] = []

    def answer(asked: Asked) -> Reply:
        starts.append(time.monotonic())
        whole = talk(asked)
        return Events([0.2, *whole.events])

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask(8))

    run(Server(answer), use, max_n=1)
    assert starts[1] - starts[0] >= 0.19
    assert starts[7] - starts[1] < 0.19


def test_rates_are_kept() -> None:
    starts: list[float] = []

    def answer(asked: Asked) -> Reply:
        starts.append(time.monotonic())
        return talk(asked)

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask(4))

    run(Server(answer), use, max_n=1, rate=10.0)
    assert len(starts) == 4
    starts.clear()
    moment = time.monotonic()
    run(Server(answer), use, max_n=1, rate=2.5)
    # 2 in 0.8 s, then the next 2: not before 0.8 s.
    assert starts[-1] - moment >= 0.75


def test_a_waiting_call_that_is_cancelled_keeps_no_slot() -> None:
    async def main() -> None:
        pace = Pace(concurrency=1, rate=None)

        async def hold(seconds: float) -> None:
            async with pace.turn():
                await asyncio.sleep(seconds)

        first = asyncio.create_task(hold(0.05))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(hold(10)) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await first
        # One that is cancelled in the same moment as its turn comes.
        second = asyncio.create_task(hold(0.01))
        await asyncio.sleep(0)
        third = asyncio.create_task(hold(0))
        await second
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)
        await asyncio.wait_for(hold(0), 1)

    asyncio.run(asyncio.wait_for(main(), 5))
