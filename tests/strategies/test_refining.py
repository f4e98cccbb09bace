"""Self-Refine, revision chains, PDR, MALT: worked by hand."""

import re
from dataclasses import replace

import pytest

from tests.support.results import noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import PROBLEM, solve
from tests.support.verifiers import ByText
from tts import prompts
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import ContextError
from tts.presets.load import load_preset
from tts.strategies import malt, pdr, revisions, self_refine
from tts.types import Sampling

CHECK = "Check each step"


def shown(prompt: str) -> list[int]:
    return [int(number) for number in re.findall(r"boxed\{(\d+)\}", prompt)]


def improving(*, accepts: int | None = None) -> ScriptedEngine:
    """Draft i says i; what is shown attempts says one more than the last; checks accept one."""

    def line(ask: Ask) -> Line:
        seen = shown(ask.prompt)
        if CHECK in ask.prompt:
            return Line(f"Verdict: {'correct' if seen[-1] == accepts else 'incorrect'}")
        return Line(boxed(seen[-1] + 1 if seen else ask.index))

    return ScriptedEngine(line)


def test_self_refine_stops_when_the_criticism_accepts() -> None:
    result = solve(improving(accepts=2), "self_refine")
    # 0, check, 1, check, 2, check.
    assert result.answer is not None and result.answer.text == "2"
    assert result.usage.calls == 6
    assert [e.fields["verdict"] for e in result.trace if e.kind == "critique"] == [
        False,
        False,
        True,
    ]


def test_self_refine_stops_after_its_rounds() -> None:
    result = solve(improving(), "self_refine")
    assert result.answer is not None and result.answer.text == "4"  # four revisions of 0
    assert result.usage.calls == 1 + 4 * 2


def test_a_revision_of_self_refine_sees_all_attempts_and_their_criticisms() -> None:
    engine = improving()
    solve(engine, self_refine(rounds=3))
    revisions_asked = [p for p in prompts_of(engine) if "Check 2:" in p or "Check:" in p]
    assert [shown(p) for p in revisions_asked] == [[0], [0, 1], [0, 1, 2]]
    assert revisions_asked[-1].count("Verdict: incorrect") == 3
    assert all(len(shown(p)) == 1 for p in prompts_of(engine) if CHECK in p)


def test_self_refine_with_a_right_draft_costs_one_check() -> None:
    result = solve(improving(accepts=0), self_refine())
    assert result.usage.calls == 2
    assert result.answer is not None and result.answer.text == "0"


def test_chains_of_self_refine_vote() -> None:
    result = solve(improving(accepts=2), self_refine(n=3))
    # 0 -> 2 in two revisions, 1 -> 2 in one, 2 at once: three drafts, six checks, three revisions.
    assert result.answer is not None and result.answer.support.votes == 3
    assert result.usage.calls == 3 + 6 + 3


def test_revisions_vote_over_whole_chains() -> None:
    # Chains 0 1 2 3, 1 2 3 4, 2 3 4 5, 3 4 5 6: three is in all four of them.
    result = solve(improving(), "revisions")
    assert result.answer is not None and result.answer.text == "3"
    assert (result.answer.support.votes, result.answer.support.voters) == (4, 16)
    assert result.usage.calls == 16


def test_revisions_see_the_last_four() -> None:
    engine = improving()
    solve(engine, revisions(chains=1, length=7))
    assert [shown(p) for p in prompts_of(engine)[1:]] == [
        [0],
        [0, 1],
        [0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [2, 3, 4, 5],
    ]


@pytest.mark.parametrize(("chains", "length"), [(1, 8), (2, 4), (8, 1)])
def test_the_ratio_keeps_the_budget(chains: int, length: int) -> None:
    pipeline = revisions(chains=chains, length=length)
    result = solve(improving(), pipeline)
    assert result.usage.calls == 8
    assert result.answer is not None and result.answer.support.voters == 8


def test_a_verifier_may_decide_over_all_attempts() -> None:
    prefers_five = ByText(lambda text: 0.9 if "{5}" in text else 0.1)
    result = solve(improving(), "revisions_verifier", verifiers={"prm": prefers_five})
    # Two 5s weigh 1.8; four 3s weigh 0.4.
    assert result.answer is not None and result.answer.text == "5"
    assert result.answer.support.weight == pytest.approx(1.8)


def test_pdr_shows_the_last_draft_a_random_few() -> None:
    engine = improving()
    result = solve(engine, pdr(distil="random"))
    assert result.usage.calls == 8 + 1
    seen = shown(prompts_of(engine)[1])
    assert len(set(seen)) == 4 and set(seen) <= set(range(8))
    assert result.answer is not None and int(result.answer.text) == seen[-1] + 1


def test_pdr_rounds_shrink() -> None:
    pipeline = pdr(drafts=(6, 3, 2), show=2, distil="random")
    engine = improving()
    result = solve(engine, pipeline)
    assert result.usage.calls == 6 + 3 + 2 + 1
    assert all(len(set(shown(p))) <= 2 for p in prompts_of(engine)[1:])
    assert len(prompts_of(engine)) == 1 + 3 + 2 + 1  # each draft sees a draw of its own


def grading(*best: str) -> ScriptedEngine:
    """Draft i says i; grading i names the best; what sees attempts says one more than the last."""

    def line(ask: Ask) -> Line:
        seen = shown(ask.prompt)
        if "grade it from 0 to 10" in ask.prompt:
            return Line(f"Attempt 1: 3/10\nBest: {best[ask.index]}")
        return Line(boxed(seen[-1] + 1 if seen else ask.index))

    return ScriptedEngine(line)


def test_pdr_shows_the_drafts_that_the_model_grades_best() -> None:
    engine = grading("5, 8, 1, 2, 3")  # of these four are shown: drafts 4, 7, 0, 1
    result = solve(engine, "pdr")
    grades, last = prompts_of(engine)[1:]
    assert shown(grades) == list(range(8)) and "best 4 attempts" in grades
    assert shown(last) == [4, 7, 0, 1]
    assert [e["best"] for e in noted(result, "grade")] == [[5, 8, 1, 2]]
    assert result.usage.calls == 8 + 1 + 1
    graded = len("Attempt 1: 3/10\nBest: 5, 8, 1, 2, 3")
    assert result.trajectories[0].usage.generated_tokens == graded + len(boxed(2))
    assert result.usage.wasted_tokens == 4 * len(boxed(0))  # four drafts were not shown
    assert len(result.samples) == 8 + 1
    assert result.answer is not None and result.answer.text == "2"


def test_each_draft_of_the_next_round_may_see_a_grading_of_its_own() -> None:
    engine = grading("1, 2", "3, 4", "4, 3")
    result = solve(engine, pdr(drafts=(4, 3), show=2))
    drafts = [shown(p) for p in prompts_of(engine)[2:5]]
    assert sorted(drafts) == [[0, 1], [2, 3], [3, 2]]
    # Four drafts, three gradings and three drafts, one grading and one draft.
    assert result.usage.calls == 4 + 3 + 3 + 1 + 1


def test_or_all_see_the_same_one() -> None:
    engine = grading("2, 4")
    result = solve(engine, pdr(drafts=(4, 3), show=2, distil="graded"))
    assert shown(prompts_of(engine)[2]) == [1, 3]
    assert engine.requests[2].n == 3
    assert result.usage.calls == 4 + 1 + 3 + 1 + 1


@pytest.mark.parametrize("said", ["none", "9, 17"])
def test_grades_that_cannot_be_read_are_a_warning(said: str) -> None:
    engine = grading(said)
    result = solve(engine, pdr(drafts=(8,), show=3))
    assert shown(prompts_of(engine)[2]) == [0, 1, 2]
    assert "grades of attempts could not be read" in str(result.trace)


def test_without_room_for_a_grading_the_first_drafts_are_shown() -> None:
    engine = grading("4")
    engine.fail_at = {1: ContextError("too long")}
    result = solve(engine, pdr(drafts=(4,), show=2))
    assert shown(prompts_of(engine)[2]) == [0, 1]
    assert result.answer is not None and result.answer.text == "2"


def test_the_workspace_is_what_the_context_leaves() -> None:
    engine = ScriptedEngine(lambda ask: Line("x" * 400 + boxed(ask.index)))
    around = len(prompts.fuse(PROBLEM, []).messages[0].content) + 16 + 2 * 8
    engine.info = replace(engine.info, context_tokens=around + 300 + 200)
    result = solve(engine, pdr(drafts=(2,), show=2), sampling=Sampling(max_tokens=200))
    # A draft has 200 tokens, cut within its text: 400 of them, and 300 have room beside an answer.
    assert "of 2 attempts with 400 tokens the last 300 are shown" in str(result.trace)
    assert prompts_of(engine)[1].count("x") >= 300
    whole = solve(engine, pdr(drafts=(2,), show=2), sampling=Sampling(max_tokens=150))
    assert "are shown" not in str(whole.trace)


def test_pdr_may_show_the_best() -> None:
    engine = improving()
    pipeline = pdr(drafts=(4,), distil="best", show=2)
    value = ByText(lambda text: shown(text)[-1] / 10)
    result = solve(engine, pipeline, verifiers={"prm": value})
    assert shown(prompts_of(engine)[1]) == [3, 2]
    assert result.answer is not None and result.answer.text == "3"


def test_pdr_may_summarise_within_the_limit() -> None:
    engine = ScriptedEngine(
        lambda ask: Line("n" * 90 if "short notes" in ask.prompt else boxed(ask.index))
    )
    result = solve(engine, pdr(drafts=(3,), distil="summary", workspace_tokens=40))
    assert "Notes:\n" + "n" * 40 + "\n\nUse" in prompts_of(engine)[2]
    assert result.usage.calls == 3 + 1 + 1


def test_the_workspace_holds_no_more_than_its_limit() -> None:
    engine = ScriptedEngine(lambda ask: Line("x" * 60 + boxed(ask.index)))
    result = solve(engine, pdr(drafts=(4,), workspace_tokens=80))
    # Each draft has 60 and 18 characters, which are tokens here.
    assert "of 4 attempts with 312 tokens the last 80 are shown" in str(result.trace)
    prompt = prompts_of(engine)[1]
    attempts = re.findall(r"Attempt \d:\n(.*)\n", prompt)
    assert sum(map(len, attempts)) == 80
    assert len(shown(prompt)) == 4  # each 20: two of the filling and the conclusion


def test_one_draft_per_round_is_sequential_refinement() -> None:
    engine = improving()
    result = solve(engine, "sr")
    # The draft says 0, and three revisions see the last answer alone.
    assert result.answer is not None and result.answer.text == "3"
    assert [shown(p) for p in prompts_of(engine)[1:]] == [[0], [1], [2]]
    assert all("Check this attempt" in p for p in prompts_of(engine)[1:])


def test_malt_is_three_passes_of_three_roles() -> None:
    engine = improving(accepts=0)
    result = solve(engine, "malt")
    assert result.usage.calls == 9
    assert len(noted(result, "critique")) == 3
    # 0, 1, 2 are refined to 1, 2, 3, accepted or not; a tie goes to the first.
    assert result.answer is not None and result.answer.text == "1"
    assert load_preset("malt").sampling.temperature == 0.3
    assert dict(malt())["sample"].operator.spec.fan_out == 3


def test_each_role_of_malt_may_be_an_engine_of_its_own() -> None:
    own, writes, checks, mends = (improving(accepts=0) for _ in range(4))
    roles = {"generator": "writes", "verifier": "checks", "refiner": "mends"}
    engines = {"writes": writes, "checks": checks, "mends": mends}
    result = solve(own, "malt", engines=engines, overrides=[f"{k}={v}" for k, v in roles.items()])
    assert result.answer is not None and result.answer.text == "1"
    assert not own.requests and sum(request.n for request in writes.requests) == 3
    assert len(checks.requests) == len(mends.requests) == 3
    assert all(CHECK in prompt for prompt in prompts_of(checks))
    assert all("Verdict" in prompt and CHECK not in prompt for prompt in prompts_of(mends))
    alone = solve(improving(accepts=0), "malt")
    assert [t.text for t in result.trajectories] == [t.text for t in alone.trajectories]
    assert result.usage.calls == alone.usage.calls == 9
