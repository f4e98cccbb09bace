"""`tts bench lessons`: figures by hand, and a whole run of it on a script."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.bench.lessons import figures_of
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec

Tts = Callable[..., Outcome]


def test_accuracy_by_how_many_were_seen_before() -> None:
    # Two orders of four. Learning gains in the last half alone: 2 of 4 against 4 of 4.
    marks = {
        "empty": [[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]],
        "frozen": [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]],
        "learning": [[0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0]],
    }
    figures = figures_of(marks, 2)
    assert figures["parts"] == [
        {"from": 1, "to": 2, "learning": 0.5, "frozen": 1.0, "empty": 0.5},
        {"from": 3, "to": 4, "learning": 1.0, "frozen": 1.0, "empty": 0.5},
    ]
    assert figures["accuracy"] == {"learning": 0.75, "frozen": 1.0, "empty": 0.5}
    assert figures["gains"]["empty"]["all"][0] == pytest.approx(0.25)
    assert figures["gains"]["empty"]["last_half"][0] == pytest.approx(0.5)
    assert figures["gains"]["frozen"]["all"][0] == pytest.approx(-0.25)


@pytest.mark.slow
def test_a_model_that_needs_examples_gains_by_them(
    tts: Tts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is right about every fourth problem, and about all once it was shown two solved ones."""

    def line(ask: Ask) -> Line:
        number = int(ask.prompt.rpartition("number ")[2].split(".")[0])
        knows = number % 4 == 0 or ask.prompt.count("number") > 2
        return Line(rf"\boxed{{{number if knows else -1}}}")

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(line)

    monkeypatch.setattr(running, "make_engine", make_engine)
    rows = [{"id": f"s{i}", "problem": f"Say number {i}.", "answer": i} for i in range(48)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["bench", "lessons", "file", "--data", "sums.jsonl", "--limit", "24", "--orders", "2"]
    words += ["--parts", "2", "--set", "n=2", "--set", "learn=label", "--json"]
    done = tts(*words)
    assert done.code == 0, done.err
    figures = done.json
    first, second = figures["parts"]
    # Empty: 6 of 24 in each order. Frozen: always shown the others' solved ones.
    assert figures["accuracy"]["empty"] == pytest.approx(0.25)
    assert figures["accuracy"]["frozen"] == 1.0
    assert second["learning"] == 1.0 > first["learning"] > first["empty"]
    assert tts(*words).out == done.out
