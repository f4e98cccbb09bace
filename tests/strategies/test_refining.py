"""Self-Refine, revision chains, PDR, MALT: worked by hand."""

import re

import pytest

from tests.support.results import noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import solve
from tests.support.verifiers import ByText
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.presets.load import load_preset
from tts.strategies import malt, pdr, revisions, self_refine

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
    result = solve(engine, "pdr")
    assert result.usage.calls == 8 + 1
    seen = shown(prompts_of(engine)[1])
    assert len(set(seen)) == 4 and set(seen) <= set(range(8))
    assert result.answer is not None and int(result.answer.text) == seen[-1] + 1


def test_pdr_rounds_shrink() -> None:
    pipeline = pdr(drafts=(6, 3, 2), show=2)
    engine = improving()
    result = solve(engine, pipeline)
    assert result.usage.calls == 6 + 3 + 2 + 1
    assert all(len(set(shown(p))) <= 2 for p in prompts_of(engine)[1:])
    assert len(prompts_of(engine)) == 1 + 3 + 2 + 1  # each draft sees a draw of its own


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
    solve(engine, pdr(drafts=(4,), workspace_tokens=80))
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
