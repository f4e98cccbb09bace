"""Generative selection and fusion, iSelf-Discover: worked by hand."""

import re

from tests.support.results import prompts_of
from tests.support.scripts import boxed, replies
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.strategies import genfuse, genselect, iself_discover
from tts.types import Sampling


def shown(prompt: str) -> list[int]:
    return [int(number) for number in re.findall(r"boxed\{(\d+)\}", prompt)]


def chooser() -> ScriptedEngine:
    """Draft i says i; a comparison chooses the largest."""

    def line(ask: Ask) -> Line:
        seen = shown(ask.prompt)
        return Line(boxed(max(seen) if seen else ask.index))

    return ScriptedEngine(line)


def test_genselect_plays_two_windows_and_a_final() -> None:
    engine = chooser()
    result = solve(engine, "genselect")
    # (0..7) -> 7, (8..15) -> 15, (7 15) -> 15
    assert result.answer is not None and result.answer.text == "15"
    assert result.usage.calls == 16 + 3
    windows = sorted(shown(p) for p in prompts_of(engine)[1:])
    assert windows == [list(range(8)), [7, 15], list(range(8, 16))]


def test_genselect_of_one_window_is_one_comparison() -> None:
    result = solve(chooser(), genselect(n=5, window=8))
    assert result.usage.calls == 6
    assert result.answer is not None and result.answer.text == "4"


def test_genselect_votes_on_comparisons() -> None:
    said = (2, 1, 1)

    def line(ask: Ask) -> Line:
        return Line(boxed(said[ask.index] if shown(ask.prompt) else ask.index))

    result = solve(line, genselect(n=3, votes=3))
    assert result.answer is not None and result.answer.text == "1"
    assert result.answer.support.votes == 2


def test_genselect_does_not_wait_for_the_last_window() -> None:
    engine = ScriptedEngine(
        lambda ask: Line(
            boxed(max(shown(ask.prompt), default=ask.index)),
            ticks=60 if ask.index == 3 else 1,
        )
    )
    solve(engine, genselect(n=4, window=2))
    first = next(p for p in prompts_of(engine)[1:])
    assert shown(first) == [0, 1]


def test_genfuse_writes_one_solution_of_all() -> None:
    engine = ScriptedEngine(lambda ask: Line(boxed(sum(shown(ask.prompt)) or ask.index)))
    result = solve(engine, genfuse())
    assert result.answer is not None and result.answer.text == "6"  # 0 + 1 + 2 + 3
    assert "made independently" in prompts_of(engine)[1]
    assert result.usage.calls == 5


def test_genfuse_reads_the_thoughts_that_the_first_to_finish_leaves() -> None:
    def line(ask: Ask) -> Line:
        if "Attempt" in ask.prompt:
            return Line(boxed(7))
        so_far = ask.prompt.rpartition("<think>\n")[2]
        number = int(so_far[0]) if so_far else ask.index
        thought = f"{number}{'.' * 300 * (number + 1)}</think>"
        return Line(thought[len(so_far) :])

    engine = ScriptedEngine(line)
    result = solve(engine, "genfuse_thoughts", sampling=Sampling(max_tokens=2000))
    assert result.answer is not None and result.answer.text == "7"
    # The first thought has 301 tokens and ends in the second slice of 256; the others have 512.
    lengths = [text.count(".") for text in prompts_of(engine)[-1].split("Attempt")[1:]]
    assert lengths[0] == 300 and lengths[1:3] == [511, 511]


def test_iself_discover_takes_four_steps() -> None:
    rules = (
        ("Name the ways", "- cases"),
        ("Rephrase each", "- cases of the sign"),
        ("Write a step-by-step plan", "1. look at the sign"),
        ("as a JSON object", '{"sign": ""'),
        ("Use the notes", boxed(12)),
    )
    engine = ScriptedEngine(replies(*rules))
    result = solve(engine, "iself_discover")
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.calls == 4
    assert len(result.samples) == 1
    keyed = ScriptedEngine(replies(*rules))
    result = solve(keyed, iself_discover(structure="structure"))
    assert result.answer is not None and result.usage.calls == 4
    plain, json = prompts_of(engine), prompts_of(keyed)
    assert plain[:2] == json[:2] and plain[2] != json[2]  # they differ in the last two steps only
