"""`tts search`: a planted best point is found, at one cost, without a look at the test split."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec

pytest.importorskip("optuna")
pytestmark = pytest.mark.slow

Tts = Callable[..., Outcome]
SPACE = """
presets:
  single: {sampling.temperature: [0.2, 0.7, 1.2]}
  self_consistency:
    n: [2, 4]
    sampling.temperature: [0.2, 0.7, 1.2]
"""


def script(ask: Ask) -> Line:
    """Add two numbers, the more often rightly the lower the temperature."""
    words = ask.prompt.split("What is ")[1].split("?")[0].split()
    is_right = (ask.seed * 7919) % 10 >= 9 * ask.request.sampling.temperature / 1.2
    return Line(rf"\boxed{{{int(words[0]) + int(words[2]) + (not is_right)}}}")


@pytest.fixture
def asked(tts: Tts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ScriptedEngine]:
    """Scripted engines, in the order in which they were made."""
    made: list[ScriptedEngine] = []

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        made.append(ScriptedEngine(script))
        return made[-1]

    monkeypatch.setattr(running, "make_engine", make_engine)
    rows = [{"id": f"s{i}", "problem": f"What is {i} plus 2?", "answer": i + 2} for i in range(40)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "space.yaml").write_text(SPACE)
    return made


def search(tts: Tts, *more: str) -> Outcome:
    words = ["search", "file", "--data", "sums.jsonl", "--space", "space.yaml"]
    return tts(*words, "--limit", "32", "--cost", "100", *more)


@pytest.mark.parametrize("optimiser", ["tpe", "random"])
def test_a_planted_best_point_is_found(
    tts: Tts, asked: list[ScriptedEngine], optimiser: str
) -> None:
    done = search(tts, "--trials", "9", "--optimiser", optimiser)
    assert done.code == 0, done.err
    assert "choice self_consistency --set n=4 --set sampling.temperature=0.2" in done.out
    assert "tried  9 of 9 points and 2 presets as they are" in done.out
    assert len(asked) == 1
    evaluated = tts("eval", "file", "--data", "sums.jsonl", "--preset", "found.yaml", "--json")
    (run,) = evaluated.json["runs"]
    assert run["samples"] == 40 * 4


def test_samples_of_earlier_trials_are_not_drawn_again(
    tts: Tts, asked: list[ScriptedEngine]
) -> None:
    search(tts, "--trials", "9")
    (engine,) = asked
    temperatures = {0.2, 0.7, 0.8, 1.2}  # 0.8 is that of the unchanged presets
    drawn = {request.sampling.temperature for request in engine.requests}
    assert drawn == temperatures
    # At most 16 samples of an unchanged preset and 4 of each other temperature, for each problem.
    assert sum(request.n for request in engine.requests) <= 32 * (16 + 3 * 4)


def test_a_search_that_is_begun_anew_goes_on(tts: Tts, asked: list[ScriptedEngine]) -> None:
    first = search(tts, "--trials", "6")
    again = search(tts, "--trials", "6")
    assert again.out == first.out
    assert [engine.requests for engine in asked[1:]] == [[]]
    further = search(tts, "--trials", "7", "--test", "8")
    assert "tried  7 of 9 points" in further.out
    assert "test   self_consistency: " in further.out and "paired, of the choice" in further.out


def test_what_costs_too_much_is_out(tts: Tts, asked: list[ScriptedEngine]) -> None:
    done = search(tts, "--trials", "9", "--cost", "12")
    assert "choice single --set sampling.temperature=0.2" in done.out
    assert "self_consistency" not in done.out
    refused = search(tts, "--trials", "1", "--cost", "1")
    assert refused.code == 2 and "the cheapest preset costs 10: allow more" in refused.err


def test_tokens_end_a_search_early(tts: Tts, asked: list[ScriptedEngine]) -> None:
    done = search(tts, "--trials", "9", "--search-tokens", "1")
    assert "tried  0 of 9 points" in done.out
    assert "no change is better" in done.out


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("presets: {single: {n: [1]}}", r"space.yaml:1: --set n=1"),
        ("presets: {singel: {}}", "space.yaml:1: "),
        ("presets:\n  single: {sampling.top_p: [2]}", "space.yaml:2: "),
        ("presets:\n  single: {sampling.top_p: 0.5}", "expects a list of single values, got 0.5"),
        ("presets: []", "names presets, each with"),
        ("engines: {}\npresets: {single: {}}", "space.yaml:1: a space has 'presets', and no"),
    ],
)
def test_a_wrong_space_is_refused_with_its_place(
    tts: Tts, asked: list[ScriptedEngine], space: str, said: str
) -> None:
    Path("space.yaml").write_text(space)
    done = search(tts)
    assert done.code == 2
    assert said in done.err
    assert not asked


def test_nothing_is_searched_on_test_problems_or_on_too_few(
    tts: Tts, asked: list[ScriptedEngine]
) -> None:
    assert "needs --limit, of 8 problems or more" in search(tts, "--limit", "4").err
    assert "search on another --split" in search(tts, "--split", "test").err
    assert not any(engine.requests for engine in asked)
