"""Judges that ask another engine of the run than the policy."""

from dataclasses import replace

import pytest

from tests.support.scripts import says
from tests.support.solving import NO_BUDGET, solve
from tts.engine.scripted import Line, ScriptedEngine
from tts.errors import BudgetError, CapabilityError
from tts.operators.delegate import delegate
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.types import Budget, Result


def judged_by(
    name: str, judge: ScriptedEngine, policy: ScriptedEngine, limit: Budget = NO_BUDGET
) -> Result:
    """Select the best of two of the policy's samples."""
    pipeline = sample(n=2) >> score(verifier=name) >> select(by=name)
    return solve(policy, pipeline, engines={"big": judge}, budget=limit)


def likes(answer: int) -> ScriptedEngine:
    """Judges that one answer is right, and chooses it."""

    def line(prompt: str) -> str:
        if "Attempt 1:" in prompt:
            second = prompt.index(f"{{{answer}}}") > prompt.index("Attempt 2:")
            return rf"\boxed{{{answer}}}" if "grade it" not in prompt else f"Best: {1 + second}"
        right = f"{{{answer}}}" in prompt
        return f"Grade: {9 if right else 2}\nVerdict: {'correct' if right else 'incorrect'}"

    return ScriptedEngine(lambda ask: Line(line(ask.prompt)))


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("judge(k=3, engine=big)", 2 * 3),
        ("pairwise(engine=big)", 1),
        ("checklist(engine=big)", 1),
        ("critic(engine=big)", 2),
        ("list_rank(engine=big)", 1),
        ("ensemble(verifiers=['judge(k=1, engine=big)'])", 2),
    ],
)
def test_the_named_engine_judges_and_the_policy_samples(name: str, calls: int) -> None:
    judge, policy = likes(13), ScriptedEngine(says(12, 13))
    result = judged_by(name, judge, policy)
    assert result.answer is not None and result.answer.text == "13"
    assert sum(request.n for request in policy.requests) == 2
    assert sum(request.n for request in judge.requests) == calls
    assert result.usage.calls == 2 + calls


def test_without_a_name_the_policy_judges() -> None:
    judge = likes(13)
    result = judged_by("judge", judge, ScriptedEngine(says(12, 13)))
    assert not judge.requests
    assert "none of 4 checks has a readable verdict" in result.reason


def test_its_checks_cost_what_its_model_costs() -> None:
    def flops(parameters: int) -> float:
        judge = likes(13)
        judge.info = replace(judge.info, parameters=parameters)
        used = judged_by("judge(k=1, engine=big)", judge, ScriptedEngine(says(12, 13))).usage
        assert used.flops is not None
        return used.flops

    # Linear in the judge's weights: each step of 1,000 adds the same.
    assert flops(3_000) - flops(2_000) == pytest.approx(flops(2_000) - flops(1_000))
    assert flops(2_000) > flops(1_000)


def test_probabilities_are_asked_of_it_too() -> None:
    judge = likes(13)
    name = "judge(k=1, reads=logprob, engine=big)"
    judged_by(name, judge, ScriptedEngine(says(12, 13)))
    asked = [bool(request.prompt.token_ids) for request in judge.requests]
    assert sorted(asked) == [False, False, True, True]  # two checks, then two verdicts


def test_a_delegated_judge_keeps_its_own_engine() -> None:
    name = "checklist(engine=big)"
    draft, judge = ScriptedEngine(says(12, 13)), likes(13)
    pipeline = delegate(body=sample(n=2) >> score(verifier=name) >> select(by=name), engine="draft")
    engines = {"draft": draft, "big": judge}
    result = solve(ScriptedEngine(says(7)), pipeline, engines=engines)
    assert result.answer is not None and result.answer.text == "13"
    assert len(judge.requests) == 1


@pytest.mark.parametrize("name", ["judge(engine=bgi)", "ensemble(verifiers=['judge(engine=bgi)'])"])
def test_an_engine_that_is_not_there_is_refused_before_a_sample(name: str) -> None:
    policy = ScriptedEngine(says(12))
    with pytest.raises(CapabilityError, match="needs the engine 'bgi'; this run has big"):
        judged_by(name, likes(13), policy)
    assert not policy.requests


def test_what_it_needs_is_its_own_engines_to_meet() -> None:
    name = "judge(reads=logprob, engine=big)"
    able, policy = likes(13), ScriptedEngine(says(12, 13))
    plain = replace(policy.capabilities, logprobs=False, own_prompts=False)
    policy.capabilities = plain
    assert judged_by(name, able, policy).usage.calls is not None
    weak = likes(13)
    weak.capabilities = replace(weak.capabilities, logprobs=False)
    with pytest.raises(
        CapabilityError, match="needs log-probabilities of tokens, which ScriptedEngine"
    ):
        judged_by(name, weak, ScriptedEngine(says(12, 13)))


def test_one_budget_holds_over_policy_and_judge() -> None:
    judge, policy = likes(13), ScriptedEngine(says(12, 13))
    result = judged_by("judge(engine=big)", judge, policy, Budget(calls=5))
    assert result.usage.calls == 5
    judge.capabilities = replace(judge.capabilities, token_counts=False)
    with pytest.raises(BudgetError, match="reports no token counts"):
        judged_by("judge(engine=big)", judge, policy, Budget(tokens=500))
