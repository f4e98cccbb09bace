"""Classes of equal answers."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.support.towers import ENDLESS, TOWERS
from tts.answers.groups import AnswerChecker, Groups, Patience


def until_busy(checker: AnswerChecker) -> None:
    while checker.stats.compared == 0:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def checker() -> Iterator[AnswerChecker]:
    with AnswerChecker() as checker:
        yield checker


def test_groups(checker: AnswerChecker) -> None:
    async def run() -> None:
        groups = Groups(checker, "math")
        answers = ["1/2", None, "3", "0.5", "", "3.0", "\\frac{1}{2}", "x+1", "1+x"]
        assert [await groups.add(answer) for answer in answers] == [
            0,
            None,  # missing: no class, so that it can never win
            1,
            0,
            None,
            1,
            0,
            2,
            2,
        ]
        assert len(groups) == 3
        assert (groups.text(0), groups.canonical(0)) == ("1/2", "1/2")

    asyncio.run(run())


def test_groups_filled_at_once_hold_no_class_twice(checker: AnswerChecker) -> None:
    async def run() -> None:
        groups = Groups(checker, "math")
        async with asyncio.TaskGroup() as tasks:
            added = [tasks.create_task(groups.add(a)) for a in ["1/4", "0.25", "1/4", "2/8"]]
        assert [task.result() for task in added] == [0, 0, 0, 0]
        assert len(groups) == 1

    asyncio.run(run())


def test_a_vote_over_a_thousand_integers_is_quick(checker: AnswerChecker) -> None:
    async def run() -> None:
        groups = Groups(checker, "integer")
        compared = checker.stats.compared
        start = time.process_time()
        for value in range(1_000):
            await groups.add(str(value % 600))
        assert time.process_time() - start < 0.1  # 6 ms on the machine of the first measurement
        assert len(groups) == 600
        assert checker.stats.compared == compared

    asyncio.run(run())


def test_free_answers_are_each_a_class_of_their_own(checker: AnswerChecker) -> None:
    async def run() -> None:
        groups = Groups(checker, "free")
        texts = ["An essay.", "Another.", "An essay.", None]
        assert [await groups.add(text) for text in texts] == [0, 1, 2, None]
        assert groups.text(2) == "An essay."

    asyncio.run(run())


@pytest.mark.slow
def test_six_towers_cost_their_problem_little_time() -> None:
    async def run() -> None:
        with AnswerChecker(timeout_seconds=0.4) as checker:
            groups = Groups(checker, "math", patience=Patience(1.0))
            assert [await groups.add(tower) for tower in TOWERS] == [0, 1, 2, 3, 4, 5]
            assert await groups.add(f"\\boxed{{{TOWERS[3]}}}") == 3
            assert checker.stats.timeouts <= 3  # 0.4 s each, of 1 s for the problem

    asyncio.run(run())


def test_hurry_ends_the_comparison_that_is_awaited() -> None:
    async def run() -> None:
        with AnswerChecker(timeout_seconds=30.0) as checker:
            groups = Groups(checker, "math")
            assert await groups.add(ENDLESS[0]) == 0
            adding = asyncio.create_task(groups.add(ENDLESS[1]))
            await asyncio.to_thread(until_busy, checker)
            assert not adding.done()
            groups.hurry()
            async with asyncio.timeout(1.0):
                assert await adding == 1
            assert await groups.add("1+x") == 2
            assert await groups.add("x+1") == 3  # by form only
            assert await groups.add(" 1 + x ") == 2
            assert await groups.add("0.5") == 4
            assert await groups.add("1/2") == 4  # numbers need no time

    asyncio.run(run())


def test_a_cancelled_reader_is_cancelled() -> None:
    async def run() -> None:
        with AnswerChecker(timeout_seconds=30.0) as checker:
            groups = Groups(checker, "math")
            await groups.add(ENDLESS[0])
            adding = asyncio.create_task(groups.add(ENDLESS[1]))
            await asyncio.to_thread(until_busy, checker)
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding

    asyncio.run(run())
