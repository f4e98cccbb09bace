"""`tts bench lessons`: figures by hand, and a whole run of it on a script."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.bench.lessons import Measured, figures_of
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec

Tts = Callable[..., Outcome]


def test_accuracy_by_how_many_were_seen_before() -> None:
    # Two orders of four. Learning gains in the last half alone: 2 of 4 against 4 of 4.
    learning = [
        {"a": 0.0, "b": 1.0, "c": 1.0, "d": 1.0},
        {"d": 1.0, "c": 0.0, "b": 1.0, "a": 1.0},
    ]
    empty = {"a": 0.0, "b": 1.0, "c": 0.0, "d": 1.0}
    figures = figures_of(Measured(learning, dict.fromkeys("abcd", 1.0), empty), 2)
    assert figures["parts"] == [
        {"from": 1, "to": 2, "learning": 0.5, "frozen": 1.0, "empty": 0.5},
        {"from": 3, "to": 4, "learning": 1.0, "frozen": 1.0, "empty": 0.5},
    ]
    assert figures["accuracy"] == {"learning": 0.75, "frozen": 1.0, "empty": 0.5}
    assert figures["gains"]["empty"]["all"][0] == pytest.approx(0.25)
    assert figures["gains"]["empty"]["last_half"][0] == pytest.approx(0.5)
    assert figures["gains"]["empty"]["by_order"] == [0.25, 0.25]
    assert figures["gains"]["frozen"]["all"][0] == pytest.approx(-0.25)


def test_an_interval_is_one_over_problems_not_over_their_repeats() -> None:
    # Of four problems one gains in all eight orders: repeats of it tell nothing new.
    learning = [{"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0}] * 8
    nothing = dict.fromkeys("abcd", 0.0)
    figures = figures_of(Measured(learning, nothing, nothing), 1)
    assert figures["gains"]["empty"]["all"] == [0.25, 0.0, pytest.approx(0.75)]


@pytest.mark.slow
def test_a_model_that_needs_examples_gains_by_them(
    tts: Tts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is right about every fourth problem, and about all once it was shown two solved ones."""

    def line(ask: Ask) -> Line:
        number = int(ask.prompt.rpartition("number ")[2].split(".")[0])
        knows = number % 4 == 0 or ask.prompt.count("number") > 2
        return Line(rf"\boxed{{{number if knows else -1}}}")

    made: list[ScriptedEngine] = []

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        made.append(ScriptedEngine(line))
        return made[-1]

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
    # 24 of the empty memory, and as many that others left, by two samples each; what is asked
    # without an example is not drawn again, and the frozen memory always has some.
    drawn = [request for engine in made for request in engine.requests]
    bare = [request for request in drawn if str(request.prompt).count("number") == 1]
    assert sum(request.n for request in bare) <= 2 * (24 + 24)
