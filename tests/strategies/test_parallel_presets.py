"""The presets of parallel sampling: each answers, within a budget, and again from its log."""

from pathlib import Path

import pytest

from tests.support.scripts import answered, says
from tests.support.solving import solve
from tts.engine.scripted import Line, ScriptedEngine
from tts.runtime.log_file import LogFile
from tts.types import Budget, ScoreRequest

PRESETS = (
    "adaptive_consistency",
    "adaptive_consistency_dirichlet",
    "best_of_n",
    "chops",
    "deepconf",
    "deepconf_online",
    "early_stop",
    "esc",
    "genrm",
    "hedged",
    "no_thinking",
    "self_certainty",
    "self_certainty_best",
    "self_consistency",
    "tournament",
    "weighted_vote",
    "xmbr",
)


def engine() -> ScriptedEngine:
    def rewards(request: ScoreRequest) -> tuple[float, ...]:
        return (0.5,) * request.prompt.prefill.count(request.step_tag)

    script = answered(
        ("Attempt 1:", says(12)),
        ("Attempt:", lambda ask: Line("Verdict: correct")),
        otherwise=lambda ask: says(12, 12, 13)(ask),
    )
    return ScriptedEngine(script, rewards=rewards)


@pytest.mark.parametrize("preset", PRESETS)
def test_it_answers(preset: str) -> None:
    result = solve(engine(), preset)
    assert result.answer is not None and result.answer.text == "12"
    assert result.reason == ""


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("tokens", [10, 40, 150])
def test_it_keeps_to_its_budget(preset: str, tokens: int) -> None:
    result = solve(engine(), preset, budget=Budget(tokens=tokens))
    assert (result.usage.generated_tokens or 0) <= tokens
    assert f"the budget of {tokens}tokens is spent" in result.reason or result.answer is not None


@pytest.mark.parametrize("preset", PRESETS)
def test_without_any_answer_it_says_why(preset: str) -> None:
    result = solve(ScriptedEngine(says(None), rewards=lambda request: (0.5,)), preset)
    assert result.answer is None
    assert result.reason != ""


@pytest.mark.parametrize("preset", PRESETS)
def test_a_second_run_asks_nothing_of_the_engine(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with LogFile(path) as log:
        first = solve(engine(), preset, log=log)
    again = engine()
    with LogFile(path) as log:
        second = solve(again, preset, log=log)
    assert again.requests == []
    assert second.answer == first.answer
    assert second.usage.generated_tokens == first.usage.generated_tokens
