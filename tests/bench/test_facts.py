"""Stores of facts: what they hold, what of it is shown, and what a reader makes of it."""

import asyncio
import re
from collections.abc import Callable

import pytest

from tests.support.commands import Outcome
from tts.bench.facts import Row, make, measure
from tts.engine.scripted import Ask, Line, ScriptedEngine


def reader() -> ScriptedEngine:
    """Reckons rightly with the prices that stand in the notes, and gives up without them."""

    def line(ask: Ask) -> Line:
        prices = dict(re.findall(r"The good (\w+) costs (\d+) coins", ask.prompt))
        wanted = re.findall(r"(\d+) of the good (\w+)", ask.prompt)
        if not all(name in prices for _, name in wanted):
            return Line("That is not known.")
        total = sum(int(number) * int(prices[name]) for number, name in wanted)
        return Line(f"\\boxed{{{total}}}")

    return ScriptedEngine(line)


def test_a_reader_is_right_where_both_facts_are_found() -> None:
    asked, world = make(30, 40, seed=3)

    async def rows() -> list[Row]:
        return [await measure(reader(), asked, world[:size], seed=0) for size in (1, 20, 40)]

    none, some, all_ = asyncio.run(rows())
    assert (none.size, none.held, none.found, none.right) == (1, 0, 0, 0)
    # Two of 40 goods lie in half of them in 19 / 39 * 20 / 40 = 24 % of cases: 7 of 30.
    assert 3 <= some.held <= 12
    assert some.held == some.found == some.right, "names are found by their letters"
    assert all_.held == 30 and all_.found >= 27 and all_.right == all_.found
    assert none.tokens < some.tokens


def test_the_same_seed_makes_the_same_world_and_more_problems_go_on_from_it() -> None:
    assert make(5, 40, seed=3) == make(5, 40, seed=3)
    assert make(5, 40, seed=3)[0] == make(9, 40, seed=3)[0][:5]
    asked, world = make(5, 40, seed=3)
    assert len(set(world)) == 40 and all(set(one.facts) <= set(world) for one in asked)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("1,x", "--sizes 1,x: write whole numbers, such as 1,128,256"),
        ("32,1", "write numbers from 1 on, ascending"),
        ("1", "from 2 to 3,600 goods can be made, not 1"),
    ],
)
def test_sizes_that_cannot_be_are_named(
    tts: Callable[..., Outcome], sizes: str, message: str
) -> None:
    refused = tts("bench", "facts", "--model", "none", "--sizes", sizes)
    assert refused.code == 2 and message in refused.err
