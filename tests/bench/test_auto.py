"""The benchmark of `auto`, end to end on a scripted engine."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.commands import Outcome
from tests.support.verifiers import ByText
from tts.bench import auto
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.presets.load import load_preset

# A sixteenth of four such samples is a budget of more than 16 tokens, the least for a sample.
THOUGHT = 80 * "x"
WRONG = rf"{THOUGHT}\boxed{{0}}"


def test_tasks_take_turns_and_are_graded_by_their_own_rules() -> None:
    plan = auto.mixed_plan(load_preset("single"), "test", 3)
    assert [p.answer_type for p in plan.problems] == ["integer", "countdown"] * 3


@pytest.mark.slow
def test_the_whole_benchmark(tts: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    references = {
        str(p.statement): str(p.reference)
        for split in ("calibration", "test")
        for p in auto.mixed_plan(load_preset("single"), split, 8).problems
    }

    def line(ask: Ask) -> Line:
        known = next(r for s, r in references.items() if s in ask.prompt)
        return Line(rf"{THOUGHT}\boxed{{{known if ask.seed % 3 else ask.seed % 7}}}")

    class Engine(ScriptedEngine):
        num_forgotten = 0

        async def forget(self) -> None:
            Engine.num_forgotten += 1

    @asynccontextmanager
    async def engine(model: str, *, gpu_memory_utilization: float) -> AsyncIterator[ScriptedEngine]:
        yield Engine(line)

    async def reward(*_: Any) -> dict[str, ScriptedEngine]:
        return {"bundled:prm": Engine(line)}

    def verifiers(_: Any, engines: dict[str, ScriptedEngine]) -> dict[str, ByText]:
        assert list(engines) == ["bundled:prm"]
        return {"prm": ByText(lambda text: 0.1 if len(text) == len(WRONG) else 0.8)}

    monkeypatch.setattr(auto, "VLLMEngine", engine)
    monkeypatch.setattr(auto, "open_reward", reward)
    monkeypatch.setattr(auto, "build_verifiers", verifiers)
    numbers = ("--problems", "8", "--calibration", "8", "--samples", "4")
    words = ("bench", "auto", *numbers, "--out", "my runs")
    outcome = tts(*words, "--json")
    assert outcome.code == 0, outcome.err
    names = [curve["name"] for curve in outcome.json["curves"]]
    assert names == ["self_consistency", "best_of_n", "weighted_vote", "oracle", "auto"]
    assert outcome.json["problems"] == 16
    assert len(outcome.json["equal_tokens"]) >= 2  # so small budgets may buy the same
    # Both engines before each run: calibration, all samples, `auto` at each share, what is timed.
    assert Engine.num_forgotten == 2 * (3 + len(auto.SHARES))
    assert outcome.json["allocator_share"] > 0
    again = tts(*words)
    assert again.code == 0 and "at its plateau" in again.out
    assert "a slice for 10,000 problems" in again.out
    said = "--problems 8 --calibration 8 --samples 4 --seed 0 --out 'my runs'"
    assert f"again tts bench auto {said}" in " ".join(again.out.split())


def test_ten_thousand_problems_in_a_second() -> None:
    assert auto.slice_seconds(10_000) < 1.0
