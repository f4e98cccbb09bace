"""Lookahead search: a step is scored by where it leads."""

from tests.support.results import noted
from tests.support.searching import search, steps_of
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.strategies.beam_search import Policy
from tts.strategies.lookahead import Config, build


def traps(ask: Ask) -> Line:
    """Step d8 leads to d0, step d2 leads to d9; then comes the end."""
    steps = steps_of(ask)
    if not steps:
        return Line("d8\n\n" if ask.index % 2 == 0 else "d2\n\n")
    if len(steps) == 1:
        return Line("d0\n\n" if steps[0] == "d8" else "d9\n\n")
    return Line(rf"\boxed{{{steps[0][1]}}}")


def survivors(lookahead: int) -> set[str]:
    """Return the first steps that were continued."""
    result = search(ScriptedEngine(traps), Policy(width=2, branching=2), lookahead=lookahead)
    (figures,) = noted(result, "search")
    nodes = figures["tree"]["nodes"]
    return {nodes[n["parent"]]["text"] for n in nodes if n["depth"] == 2}


def test_without_lookahead_the_tempting_step_is_kept() -> None:
    assert survivors(lookahead=0) == {"d8"}


def test_with_lookahead_the_step_that_leads_further_is_kept() -> None:
    assert survivors(lookahead=1) == {"d2"}


def test_the_play_is_paid_for_and_thrown_away() -> None:
    plain = search(ScriptedEngine(traps), build(Config(width=2, branching=2, lookahead=0)))
    ahead = search(ScriptedEngine(traps), build(Config(width=2, branching=2, lookahead=1)))
    # Three levels of 2; with lookahead the 4 unfinished steps are played out by one step each.
    assert plain.usage.calls == 6
    assert ahead.usage.calls == 10
    assert ahead.usage.wasted_tokens is not None and plain.usage.wasted_tokens is not None
    # Four plays: from the first level "d0\n\n" and "d9\n\n", from the second twice the end.
    end = len(r"\boxed{2}")
    assert ahead.usage.wasted_tokens - plain.usage.wasted_tokens == 4 + 4 + 2 * end
    greedy = [r for r in plain_requests() if r.sampling.temperature == 0.0]
    assert len(greedy) == 4


def plain_requests() -> list:  # type: ignore[type-arg]
    engine = ScriptedEngine(traps)
    search(engine, build(Config(width=2, branching=2, lookahead=1)))
    return engine.requests
