"""`tts bench recall`: a reader names the good that it needs, and reckons with what it is told."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.bench.recall import make
from tts.engine import running
from tts.engine.scripted import ALL, Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec

Tts = Callable[..., Outcome]


def reader(ask: Ask) -> Line:
    """Name what the last note leads to, and guess where it says nothing."""
    problem = ask.prompt.rpartition("Ann buys ")[2]
    bought, good = re.findall(r"^(\d+) of the good (\w+)", problem)[0]
    said = problem.rpartition("<assistant>")[2]
    notes = re.findall(r"good (\w+) costs (?:as much as the good (\w+)|(\d+) coins)", problem)
    told = {name: (other, price) for name, other, price in notes}
    while told.get(good, ("", ""))[0]:
        good = told[good][0]
    if good in told:
        return Line(f"So \\boxed{{{int(bought) * int(told[good][1])}}}")
    if f"The good {good}." not in said:
        return Line(f"The good {good}.\n\nNote: The good {good} costs 1 coins.")
    return Line(r"So \boxed{0}")


@pytest.fixture
def bench(tts: Tts, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(reader, capabilities=ALL)

    monkeypatch.setattr(running, "make_engine", make_engine)
    words = ("bench", "recall", "--model", "bundled:reasoner", "--problems", "4", "--tokens", "200")
    return lambda *more: tts(*words, *more)


@pytest.mark.slow
def test_what_a_fact_names_is_found_by_a_memory_alone(
    bench: Callable[..., Outcome], tmp_path: Path
) -> None:
    done = bench("--json")
    assert done.code == 0, done.err
    one, two = done.json["cells"]
    right = [{arm["name"]: arm["accuracy"] for arm in cell["arms"]} for cell in (one, two)]
    found = [{arm["name"]: arm["found"] for arm in cell["arms"]} for cell in (one, two)]
    assert (one["hops"], two["hops"]) == (1, 2)
    assert right[0]["uct"] == right[1]["uct"] == 0.0
    assert right[0]["uct memory"] == right[0]["puct memory"] == right[0]["retrieved"] == 1
    assert right[1]["uct memory"] == right[1]["puct memory"] == 1
    assert right[1]["retrieved"] == found[1]["retrieved"] < 0.5
    assert found[1]["uct memory"] == 1 and found[1]["uct"] == 0
    gains = {arm["name"]: arm["gain"] for arm in two["arms"]}
    assert gains["uct memory"] == [1.0, 1.0, 1.0] and gains["uct"] is None
    shown = bench("--hops", "2")  # finished already, and shown again
    assert shown.code == 0 and "uct memory" in shown.out and "+100.0% [" in shown.out


def test_no_two_problems_share_a_fact() -> None:
    asked = make(30, 3, seed=1)
    facts = [fact for one in asked for fact in one.facts]
    assert len(set(facts)) == 90 and make(30, 3, seed=1) == asked != make(30, 3, seed=2)
    first, second, third = asked[0].facts
    assert first.endswith(f"{second.split()[2]}.") and second.endswith(f"{third.split()[2]}.")
    assert first.split()[2] in asked[0].problem.statement and third.endswith(" coins.")


@pytest.mark.parametrize(
    ("hops", "message"),
    [("1,x", "whole numbers"), ("2,1", "from 1 on, ascending"), ("1,5", "at most 4 facts")],
)
def test_hops_that_cannot_be_are_named(
    bench: Callable[..., Outcome], hops: str, message: str
) -> None:
    refused = bench("--hops", hops)
    assert refused.code == 2 and f"--hops {hops}: " in refused.err and message in refused.err
