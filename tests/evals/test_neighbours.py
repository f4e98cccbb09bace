"""What a preset costs does not depend on the presets that ran before it."""

import json
from pathlib import Path

import pytest

import tts
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.types import ScoreRequest, StepScores, Usage

PRESETS = ("rebase", "beam_search")


class Remembering(ScriptedEngine):
    """Reads a text once, as reward models do whose scores are kept."""

    def __init__(self) -> None:
        super().__init__(say)
        self.known: set[str] = set()

    async def score(self, request: ScoreRequest) -> StepScores:
        text = request.prompt.prefill
        cached = 100 if text in self.known else 0
        self.known.add(text)
        values = (0.5,) * text.count(request.step_tag)
        return StepScores(values, Usage(prompt_tokens=100, cached_tokens=cached, calls=1))

    async def forget(self) -> None:
        self.known.clear()


def say(ask: Ask) -> Line:
    """Two steps and the answer; samples of a node differ by their seed."""
    so_far = ask.prompt.rpartition("<assistant>")[2]
    if so_far.count("\n\n") == 2:
        return Line(r"\boxed{3}")
    return Line(f"step {ask.seed % 3}\n\nand more")


@pytest.fixture(autouse=True)
def _engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return Remembering()

    tts.shutdown()
    monkeypatch.setattr(running, "make_engine", make_engine)
    monkeypatch.chdir(tmp_path)
    row = {"id": "s", "problem": "What is 1 plus 2?", "answer": "3"}
    Path("sums.jsonl").write_text(json.dumps(row) + "\n")


def scored(*presets: str, out: str) -> dict[str, int | None]:
    summaries = tts.evaluate("file", list(presets), data="sums.jsonl", out=out)
    return {summary.preset: summary.tokens.scored for summary in summaries}


def test_scores_of_a_preset_are_paid_whatever_ran_before() -> None:
    alone = {name: scored(name, out=f"alone-{name}")[name] for name in PRESETS}
    assert all(tokens for tokens in alone.values())
    assert scored(*PRESETS, out="there") == alone
    assert scored(*reversed(PRESETS), out="back") == alone
    tts.shutdown()
