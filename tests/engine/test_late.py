"""An engine that starts with the first request: once for all, and not for those who left."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.support.scripts import says
from tts.engine.late import LateEngine, LoadingTime
from tts.engine.scripted import ScriptedEngine
from tts.errors import EngineError
from tts.protocols import Engine, EngineFacts
from tts.types import Completion, GenerationRequest, Prompt, Sampling, Usage

KNOWN = ScriptedEngine(says(1))
FACTS = EngineFacts(KNOWN.info, KNOWN.capabilities)


def asked(n: int = 1) -> GenerationRequest:
    return GenerationRequest(Prompt(text="x"), Sampling(), n=n, seed=0)


class Starts:
    """Starts an engine once `go` is set; counts how often it was asked to."""

    def __init__(self, result: Callable[[], Engine]) -> None:
        self.result, self.number, self.go = result, 0, asyncio.Event()

    async def __call__(self) -> Engine:
        self.number += 1
        await self.go.wait()
        return self.result()


def working(
    result: Callable[[], Engine], work: Callable[[LateEngine, Starts], Awaitable[None]]
) -> None:
    async def all_of_it() -> None:
        make = Starts(result)
        async with asyncio.timeout(5):
            late = LateEngine(FACTS, make)
            await work(late, make)
            await late.aclose()

    asyncio.run(all_of_it())


async def read(late: LateEngine, n: int = 1) -> list[Completion]:
    return [completion async for completion in late.generate(asked(n))]


def test_what_another_version_knew_of_an_engine_is_not_taken_for_all_of_it() -> None:
    values = json.loads(json.dumps(FACTS.to_values()))
    assert EngineFacts.from_values(values) == FACTS
    for part, change in (("info", {"colour": 1}), ("capabilities", {"flies": True})):
        assert EngineFacts.from_values({**values, part: {**values[part], **change}}) is None
    fewer = {name: can for name, can in values["capabilities"].items() if name != "teams"}
    assert EngineFacts.from_values({**values, "capabilities": fewer}) is None


def test_it_starts_once_for_all_who_ask() -> None:
    async def work(late: LateEngine, make: Starts) -> None:
        assert await late.start() is late
        await late.forget()
        assert (late.info, late.tokens_in_flight(), make.number) == (FACTS.info, 0, 0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(late, 2)) for _ in range(3)]
            await asyncio.sleep(0)
            make.go.set()
        assert [len(task.result()) for task in tasks] == [2, 2, 2] and make.number == 1
        assert len(await read(late)) == 1 and make.number == 1

    working(lambda: ScriptedEngine(says(1)), work)


def test_who_leaves_before_it_has_started_pays_nothing() -> None:
    async def work(late: LateEngine, make: Starts) -> None:
        stream = late.generate(asked())
        reading = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        assert await stream.aclose() == Usage()
        with pytest.raises(StopAsyncIteration):
            await reading
        cancelled = asyncio.create_task(read(late))
        await asyncio.sleep(0)
        cancelled.cancel()
        make.go.set()
        assert len(await read(late)) == 1 and make.number == 1  # others got what they wanted

    working(lambda: ScriptedEngine(says(1)), work)


def test_a_stream_that_was_closed_first_starts_nothing() -> None:
    async def work(late: LateEngine, make: Starts) -> None:
        stream = late.generate(asked())
        assert await stream.aclose() == Usage()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        await asyncio.sleep(0)
        assert make.number == 0

    working(lambda: ScriptedEngine(says(1)), work)


def test_what_keeps_it_from_starting_comes_with_every_request() -> None:
    def fail() -> Engine:
        raise EngineError("no memory")

    async def work(late: LateEngine, make: Starts) -> None:
        make.go.set()
        for _ in range(2):
            with pytest.raises(EngineError, match="no memory"):
                await read(late)
        assert make.number == 1

    working(fail, work)


def test_another_model_is_not_taken_for_the_one_that_was_known() -> None:
    def other() -> Engine:
        engine = ScriptedEngine(says(1))
        engine.info = replace(engine.info, fingerprint="other")
        return engine

    async def work(late: LateEngine, make: Starts) -> None:
        make.go.set()
        with pytest.raises(EngineError, match="run the same command without --reuse"):
            await late.tokenize("x")

    working(other, work)


def test_loading_two_at_once_takes_the_time_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    loading = LoadingTime()
    with loading.running():
        now = 11.0
        with loading.running():
            now = 13.0
            assert loading.seconds == 3.0
    now = 20.0
    assert loading.seconds == 3.0
    with suppress(EngineError), loading.running():
        now = 21.0
        raise EngineError("no memory")
    now = 22.0
    assert loading.seconds == 4.0


def test_a_closed_one_does_not_start() -> None:
    async def work(late: LateEngine, make: Starts) -> None:
        await late.aclose()
        with pytest.raises(EngineError, match="the engine is closed"):
            await read(late)
        assert make.number == 0

    working(lambda: ScriptedEngine(says(1)), work)
