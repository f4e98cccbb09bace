"""What is asked for once."""

import asyncio

import pytest

from tts.search.once import Once


def test_who_asks_meanwhile_and_later_gets_the_first_ones_answer() -> None:
    asked: list[str] = []

    async def main() -> None:
        once: Once[str] = Once()

        async def ask() -> str:
            asked.append("x")
            await asyncio.sleep(0)
            return "answer"

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(once.get("x", ask)) for _ in range(3)]
            await asyncio.sleep(0)
            tasks[1].cancel()  # one who gives up does not take it from the others
        assert [task.result() for task in (tasks[0], tasks[2])] == ["answer"] * 2
        assert await once.get("x", ask) == "answer"

    asyncio.run(main())
    assert asked == ["x"]


def test_a_failure_is_the_first_ones_and_the_others_are_cancelled() -> None:
    async def main() -> None:
        once: Once[str] = Once()

        async def fail() -> str:
            await asyncio.sleep(0)
            raise ValueError("no")

        first, second = (asyncio.create_task(once.get("x", fail)) for _ in range(2))
        with pytest.raises(ValueError, match="no"):
            await first
        with pytest.raises(asyncio.CancelledError):
            await second

    asyncio.run(main())
