"""A resumed problem's time: what comes at once, what waits, and for how long."""

import asyncio
from collections.abc import Awaitable

import pytest

from tts.bench.virtual_time import run_at_once
from tts.engine.scripted import Line, ScriptedEngine
from tts.runtime.parts import Parts
from tts.runtime.replay import Clock, Past
from tts.types import GenerationRequest, Prompt, Sampling, Usage


def past() -> Past:
    """Asked for at 10 and 12 and not come; others came before, between and after."""
    found = Past()
    found.sent("early", ["early-0"], 0.0)
    found.ended("early-0", 9.0)
    found.sent("first", ["first-0", "first-1"], 10.0)
    found.ended("first-1", 15.0)
    found.sent("second", ["second-0"], 12.0)
    return found


async def seconds_of(*waits: Awaitable[None] | None) -> list[float]:
    """Return after how many seconds each wait is over."""
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async def one(wait: Awaitable[None] | None) -> float:
        if wait is not None:
            await wait
        return round(loop.time() - begin, 3)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(wait)) for wait in waits]
    return [task.result() for task in tasks]


def test_time_begins_when_the_oldest_in_flight_is_asked_again() -> None:
    async def main() -> list[float]:
        clock = Clock(past())
        assert clock.now == 10.0
        assert clock.recorded(9.0) is None, "it came before"
        later = clock.recorded(15.0)
        await asyncio.sleep(3.0)  # a verifier that reads again what was recorded
        assert clock.now == 10.0
        assert clock.open(10.0) is None
        clock.live(1)
        return await seconds_of(clock.open(12.0), later)

    assert run_at_once(main()) == [2.0, 5.0]


def test_within_a_moment_the_log_comes_first_and_keeps_its_order() -> None:
    async def main() -> list[str]:
        clock, came = Clock(past()), list[str]()

        async def note(name: str, wait: Awaitable[None] | None) -> None:
            assert wait is not None
            await wait
            came.append(name)

        clock.open(10.0)
        clock.live(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(note("log 2", clock.recorded(15.0, (2,))))
            group.create_task(note("log 1", clock.recorded(15.0, (1,))))
            await asyncio.sleep(5.0)
            group.create_task(note("new 8", clock.came((8, 0))))
            group.create_task(note("new 7", clock.came((7, 3))))
        assert clock.now == 15.0, "what they lead to belongs to their moment"
        return came

    assert run_at_once(main()) == ["log 1", "log 2", "new 7", "new 8"]


def test_with_nothing_in_flight_all_that_is_recorded_comes_at_once() -> None:
    async def main() -> float:
        whole = Past()
        whole.sent("only", ["only-0"], 0.0)
        whole.ended("only-0", 40.0)
        clock = Clock(whole)
        assert clock.recorded(39.0) is None and clock.came((0, 0)) is None
        assert await seconds_of(clock.recorded(40.0)) == [0.0], "with what else came then"
        await asyncio.sleep(2.0)
        return clock.now

    # What is new comes after what is recorded.
    assert run_at_once(main()) == pytest.approx(42.0, abs=0.001)


def test_what_a_reader_decided_against_is_not_in_flight() -> None:
    found = past()
    found.decided("first", 16.0)
    found.decided("second", 17.0)
    assert not found.open and found.last == 17.0


def test_where_no_engine_works_nobody_waits_long() -> None:
    async def main() -> list[float]:
        clock = Clock(past())  # the oldest request is not asked again: the run goes another way
        waited = await seconds_of(clock.recorded(15.0), clock.recorded(1000.0))
        assert clock.recorded(2000.0) is None
        return waited

    assert run_at_once(main()) == [5.0, 5.0]


def test_time_goes_on_while_an_engine_works() -> None:
    async def main() -> list[float]:
        clock = Clock(past())
        clock.open(10.0)
        clock.live(1)
        late = clock.recorded(1000.0)
        await asyncio.sleep(20.0)
        clock.live(-1)
        return await seconds_of(late)

    assert run_at_once(main()) == [5.0]


@pytest.mark.parametrize("read", range(4))
def test_parts_of_a_request_come_as_they_end_and_cost_what_they_are(read: int) -> None:
    """Samples 0 and 4, 5 are missing; 5 ends after 2 ticks, 0 after 4, 4 after 6."""

    async def main() -> tuple[list[int], int]:
        ticks = {0: 4, 4: 6, 5: 2}
        engine = ScriptedEngine(lambda ask: Line("x" * ticks[ask.seed]), tick_seconds=1.0)

        def part(seed: int, n: int) -> GenerationRequest:
            return GenerationRequest(Prompt(text="go"), Sampling(), n=n, seed=seed)

        parts = Parts({0: engine.generate(part(0, 1)), 4: engine.generate(part(4, 2))})
        found = [await parts.next() for _ in range(read)]
        await asyncio.sleep(10.0)
        rest: Usage = await parts.aclose()
        paid = sum(one.usage.generated_tokens or 0 for one in found)
        return [one.index for one in found], paid + (rest.generated_tokens or 0)

    assert run_at_once(main()) == ([5, 0, 4][:read], 12)
