"""Edges: copies, merges, order, and what a close does."""

import asyncio
import itertools
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tests.support.values import trajectory
from tts.runtime.channels import ChannelInlet, ChannelOutlet, merge


def outlet(on_unread: Callable[[], None] = lambda: None) -> ChannelOutlet:
    return ChannelOutlet(itertools.count(), on_unread)


async def read(inlets: list[ChannelInlet], order: str = "arrival") -> list[str]:
    return [t.id async for t in merge(inlets, order)]  # type: ignore[arg-type]


def test_every_reader_gets_a_copy() -> None:
    async def run() -> None:
        source = outlet()
        first, second = source.connect(), source.connect()
        source.send(trajectory(0, "1"))
        source.finish()
        assert await read([first]) == ["sample:0"]
        assert await read([second]) == ["sample:0"]

    asyncio.run(run())


def test_a_merge_gives_the_order_of_sending() -> None:
    async def run() -> None:
        stamps = itertools.count()
        left, right = (ChannelOutlet(stamps, lambda: None) for _ in range(2))
        inlets = [left.connect(), right.connect()]
        right.send(trajectory(0, "1", node="b"))
        left.send(trajectory(0, "1", node="a"))
        right.send(trajectory(1, "1", node="b"))
        left.finish()
        right.finish()
        assert await read(inlets) == ["b:0", "a:0", "b:1"]

    asyncio.run(run())


def test_a_reader_waits_for_what_is_still_to_come() -> None:
    async def run() -> None:
        source = outlet()
        task = asyncio.create_task(read([source.connect()]))
        await asyncio.sleep(0)
        source.send(trajectory(0, "1"))
        await asyncio.sleep(0)
        source.send(trajectory(1, "1"))
        source.finish()
        assert await task == ["sample:0", "sample:1"]

    asyncio.run(run())


def test_only_the_last_reader_to_close_cancels_the_writer() -> None:
    async def run() -> None:
        unread: list[bool] = []
        source = outlet(lambda: unread.append(True))
        first, second = source.connect(), source.connect()
        first.close()
        first.close()
        assert unread == []
        second.close()
        assert unread == [True]
        source.send(trajectory(0, "1"))
        assert await read([first, second]) == []

    asyncio.run(run())


def test_a_finished_writer_is_not_cancelled() -> None:
    async def run() -> None:
        unread: list[bool] = []
        source = outlet(lambda: unread.append(True))
        inlet = source.connect()
        source.finish()
        inlet.close()
        assert unread == []

    asyncio.run(run())


@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_reading_by_index_does_not_depend_on_arrival(order: list[int], gaps: set[int]) -> None:
    async def run() -> list[str]:
        source = outlet()
        inlet = source.connect()
        for index in order:
            if index not in gaps:
                source.send(trajectory(index, "1"))
        source.finish()
        return await read([inlet], "index")

    assert asyncio.run(run()) == [f"sample:{i}" for i in range(6) if i not in gaps]


def test_an_index_is_passed_on_before_the_stream_ends() -> None:
    async def run() -> None:
        source = outlet()
        reader = merge([source.connect()], "index")
        source.send(trajectory(1, "1"))
        source.send(trajectory(0, "1"))
        assert (await anext(reader)).id == "sample:0"
        assert (await anext(reader)).id == "sample:1"

    asyncio.run(run())


def test_a_writer_learns_when_its_readers_want_more() -> None:
    async def run() -> None:
        source = outlet()
        inlets = [source.connect(), source.connect()]
        seen: list[str] = []
        may_go_on = asyncio.Event()

        async def slow(inlet: ChannelInlet) -> None:
            async for t in inlet:
                await may_go_on.wait()
                seen.append(t.id)

        readers = [asyncio.create_task(slow(inlet)) for inlet in inlets]
        await asyncio.sleep(0)
        source.send(trajectory(0, "1"))
        source.send(trajectory(1, "1"))
        wanted = asyncio.create_task(source.wanted())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not wanted.done() and seen == []
        may_go_on.set()
        await wanted
        assert sorted(seen) == ["sample:0", "sample:0", "sample:1", "sample:1"]
        source.finish()
        await asyncio.gather(*readers)

    asyncio.run(run())


def test_a_closed_reader_and_one_that_has_not_come_are_not_waited_for() -> None:
    async def run() -> None:
        source = outlet()
        closed, absent = source.connect(), source.connect()
        closed.close()
        source.send(trajectory(0, "1"))
        await source.wanted()
        assert absent.pop().id == "sample:0"

    asyncio.run(run())


def test_closing_while_a_writer_waits_lets_it_go() -> None:
    async def run() -> None:
        source = outlet()
        inlet = source.connect()

        async def read_one() -> None:
            async for _ in inlet:
                await asyncio.sleep(0)
                break
            inlet.close()

        reader = asyncio.create_task(read_one())
        await asyncio.sleep(0)
        source.send(trajectory(0, "1"))
        await source.wanted()
        assert source.is_unread
        await reader

    asyncio.run(run())
