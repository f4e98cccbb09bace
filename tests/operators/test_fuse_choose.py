"""Several trajectories to one: fused, chosen among, distilled."""

import re
from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from tests.support.results import answers, noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine
from tts.errors import PipelineError
from tts.operators.choose import choose
from tts.operators.follow import follow
from tts.operators.fuse import Fuse, fuse
from tts.operators.loop import loop
from tts.operators.sample import sample
from tts.operators.vote import vote


def drafts(*said: str, then: str) -> ScriptedEngine:
    """Draft i says text i; whoever is shown attempts says `then`."""
    return ScriptedEngine(
        lambda ask: Line(then if "Attempt" in ask.prompt else said[ask.index % len(said)])
    )


def timed(ticks: Sequence[int]) -> Script:
    """Draft i says i, and takes its own time."""
    return lambda ask: Line(
        boxed(ask.index), ticks=None if "Attempt" in ask.prompt else ticks[ask.index]
    )


def shown(prompt: str) -> list[str]:
    return re.findall(r"boxed\{(\d+)\}", prompt)


def test_a_solution_is_written_from_all_attempts() -> None:
    engine = drafts(boxed(1), boxed(2), boxed(3), then=boxed(9))
    result = solve(engine, sample(n=3) >> fuse())
    assert result.answer is not None and result.answer.text == "9"
    assert shown(prompts_of(engine)[1]) == ["1", "2", "3"]
    assert len(result.trajectories) == 4
    assert result.usage.wasted_tokens == 0


def test_what_is_shown_does_not_depend_on_the_order_of_arrival() -> None:
    seen = []
    for order in ([1, 2, 3], [3, 2, 1]):
        engine = ScriptedEngine(timed(order))
        solve(engine, sample(n=3) >> fuse())
        seen.append(prompts_of(engine)[1])
    assert seen[0] == seen[1]


def test_those_with_an_answer_go_first_and_one_alone_is_revised() -> None:
    engine = drafts("no idea", boxed(2), "", then=boxed(9))
    solve(engine, sample(n=3) >> fuse(show=1))
    assert "Check this attempt" in prompts_of(engine)[1]
    assert shown(prompts_of(engine)[1]) == ["2"]


def test_a_quorum_cancels_the_slow_ones() -> None:
    def line(ask: Ask) -> Line:
        is_draft = "Attempt" not in ask.prompt
        return Line(boxed(ask.index), hangs=is_draft and ask.index > 1, ticks=1)

    result = solve(line, sample(n=4) >> fuse(quorum=2))
    assert len(result.trajectories) == 3  # two attempts and what was written of them
    assert any(e.kind == "abort" for e in result.trace)


def test_the_workspace_is_bounded_and_keeps_conclusions() -> None:
    engine = drafts("x" * 100 + boxed(1), "y" * 50 + boxed(2), then=boxed(9))
    solve(engine, sample(n=2) >> fuse(max_shown_tokens=40))
    prompt = prompts_of(engine)[1]
    # Two attempts share 40 tokens of one character: 20 each. boxed(1) has 18 characters.
    assert len(boxed(1)) == 18
    assert f"Attempt 1:\nxx{boxed(1)}\n" in prompt
    assert f"Attempt 2:\nyy{boxed(2)}\n" in prompt


def test_each_may_see_a_random_few() -> None:
    engine = drafts(*(boxed(i) for i in range(8)), then=boxed(9))
    result = solve(engine, sample(n=8) >> fuse(n=6, show=2, pick="random"))
    seen = [tuple(shown(prompt)) for prompt in prompts_of(engine)[1:]]
    assert len(seen) == 6 and all(len(set(pair)) == 2 for pair in seen)
    assert len(set(seen)) > 1
    assert [t.origin.index for t in result.trajectories[:6]] == list(range(6))
    again = drafts(*(boxed(i) for i in range(8)), then=boxed(9))
    solve(again, sample(n=8) >> fuse(n=6, show=2, pick="random"))
    assert prompts_of(again) == prompts_of(engine)


def test_notes_are_no_attempt_but_may_be_followed() -> None:
    engine = ScriptedEngine(
        lambda ask: Line(boxed(7) if "Write short notes" in ask.prompt else boxed(ask.index))
    )
    result = solve(
        engine, sample(n=2) >> fuse(into="notes", max_tokens=10) >> follow(n=3) >> vote()
    )
    assert engine.requests[1].sampling.max_tokens == 10
    assert "Notes:\nso it is" in prompts_of(engine)[2]
    assert len(result.samples) == 5  # two drafts and three that follow; not the notes
    assert result.usage.wasted_tokens == 0
    with pytest.raises(PipelineError, match="reads finished trajectories, 'fuse' sends partial"):
        (sample(n=2) >> fuse(into="notes") >> vote()).check()


def test_nothing_to_fuse_is_said() -> None:
    result = solve(lambda ask: Line("", error="broken"), sample(n=2) >> fuse())
    assert result.answer is None
    assert "there is no attempt to fuse" in result.reason
    with pytest.raises(ValidationError, match="best needs `by`"):
        Fuse(pick="best")


def test_the_first_attempt_with_the_chosen_answer_wins() -> None:
    engine = drafts(
        boxed(1), boxed(2), "longer, " + boxed(2), boxed(1), then="Results.\n\n\\boxed{2}"
    )
    result = solve(engine, sample(n=4) >> choose(window=4))
    winner = result.trajectories[0]
    assert (winner.text, winner.parents[0]) == (boxed(2), "sample:1")
    assert winner.support is not None and winner.support.votes == 1
    assert result.usage.calls == 5
    assert len(result.samples) == 4
    assert result.usage.wasted_tokens == 0


def test_a_window_that_agrees_is_not_asked_about() -> None:
    result = solve(lambda ask: Line(boxed(5)), sample(n=3) >> choose())
    assert result.usage.calls == 3
    assert result.answer is not None and result.answer.support.probability == 1.0


def test_a_choice_that_nobody_gave_counts_for_none() -> None:
    said = (boxed(1), boxed(2), boxed(2))
    result = solve(drafts(*said, then=boxed(9)), sample(n=3) >> choose())
    # No choice can be matched: the answer of most attempts wins.
    assert result.answer is not None and result.answer.text == "2"
    assert noted(result, "choose")[0]["votes"] == 0
    merged = solve(drafts(*said, then=boxed(9)), sample(n=3) >> choose(merge=True))
    assert merged.answer is not None and merged.answer.text == "9"
    assert set(merged.trajectories[0].parents) == {"sample:0", "sample:1", "sample:2"}


def test_choices_are_counted() -> None:
    said = {0: boxed(1), 1: boxed(2), 2: boxed(2)}

    def line(ask: Ask) -> Line:
        return Line(said[ask.index] if "Attempt" in ask.prompt else boxed(ask.index + 1))

    result = solve(line, sample(n=3) >> choose(votes=3))
    # Attempts 1, 2, 3; choices 1, 2, 2.
    assert result.answer is not None and result.answer.text == "2"
    assert result.answer.support.votes == 2
    assert result.answer.support.probability == pytest.approx(2 / 3)


def test_knock_out_leaves_one_and_windows_start_when_they_are_full() -> None:
    def line(ask: Ask) -> Line:
        seen = shown(ask.prompt)
        return Line(boxed(max(map(int, seen))) if seen else boxed(ask.index))

    result = solve(line, sample(n=8) >> loop(body=choose(window=2), until_single=True, rounds=9))
    # (0 1)(2 3)(4 5)(6 7) -> (1 3)(5 7) -> (3 7) -> 7: seven comparisons.
    assert answers(result)[0] == "7"
    assert result.usage.calls == 8 + 7
    assert len([e for e in result.trace if e.kind == "choose"]) == 7


def test_windows_do_not_depend_on_the_order_of_arrival() -> None:
    seen = []
    for order in ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1]):
        engine = ScriptedEngine(timed(order))
        solve(engine, sample(n=5) >> choose(window=2))
        seen.append(sorted(prompts_of(engine)[1:]))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 2  # the fifth stands alone
