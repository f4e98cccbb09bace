"""`tts search`: a planted best point is found, at one cost, without a look at the test split."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Outcome
from tests.support.results import prompts_of
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


def read_problems(run: Path) -> list[dict[str, Any]]:
    """Return what a run says of its problems, a mapping for each."""
    return [json.loads(line) for line in (run / "problems.jsonl").read_text().splitlines()]


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


def test_a_preset_that_could_not_be_written_is_refused_first(
    tts: Tts, asked: list[ScriptedEngine]
) -> None:
    done = search(tts, "--preset", "sums.jsonl/found.yaml")
    assert (done.code, asked) == (2, [])
    assert "sums.jsonl/found.yaml: cannot be written: Not a directory" in done.err


@pytest.mark.parametrize("optimiser", ["tpe", "random"])
def test_a_planted_best_point_is_found(
    tts: Tts, asked: list[ScriptedEngine], optimiser: str
) -> None:
    done = search(tts, "--trials", "9", "--optimiser", optimiser)
    assert done.code == 0, done.err
    assert "choice self_consistency --set n=4 --set sampling.temperature=0.2" in done.out
    assert "tried  9 of 9 points and 2 presets as they are" in done.out
    assert len(asked) == 1
    (use,) = (line for line in done.out.splitlines() if line.startswith("use"))
    assert use == "use    tts eval file --preset found.yaml --data sums.jsonl"
    evaluated = tts(*use.split()[2:], "--json")
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


def test_searches_from_several_seeds_are_tested_side_by_side(
    tts: Tts, asked: list[ScriptedEngine]
) -> None:
    more = ("--trials", "4", "--seeds", "2", "--against", "random")
    refused = search(tts, *more)
    assert refused.code == 2 and "add --test N" in refused.err and not asked
    done = search(tts, *more, "--test", "8", "--cost", "30")
    assert done.code == 0, done.err
    for name in ("tpe over the best preset", "random over the best preset", "tpe over random"):
        assert f"gain   {name}: " in done.out
    assert "note   2 seeds, the same 8 test problems" in done.out
    assert len([line for line in done.out.splitlines() if "note   random, search" in line]) == 2
    assert {folder.name for folder in Path("runs/search").iterdir()} == {"seed-0", "seed-1"}
    assert Path("found.yaml").exists() and len(asked) == 1
    again = search(tts, *more, "--test", "8", "--cost", "30")
    assert again.out == done.out
    assert [engine.requests for engine in asked[1:]] == [[]]


def test_a_preset_without_values_runs_as_it_is_alone(tts: Tts, asked: list[ScriptedEngine]) -> None:
    Path("space.yaml").write_text("presets: {single: , self_consistency: {n: [2, 4]}}")
    done = search(tts, "--trials", "9")
    assert "tried  2 of 2 points and 2 presets as they are" in done.out, done.err


def test_what_costs_too_much_is_out(tts: Tts, asked: list[ScriptedEngine]) -> None:
    done = search(tts, "--trials", "9", "--cost", "12")
    assert "choice single --set sampling.temperature=0.2" in done.out
    assert "self_consistency" not in done.out
    refused = search(tts, "--trials", "1", "--cost", "1")
    assert refused.code == 2 and "the cheapest preset costs 9.781: allow more" in refused.err


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
        ("engines: {}\npresets: {single: {}}", "space.yaml:1: a space has 'presets' and 'graph'"),
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


def proposing(*proposals: str) -> Callable[[Ask], Line]:
    """Script: adds two numbers, and proposes points where it is asked for them."""

    def line(ask: Ask) -> Line:
        if "End with a JSON list" in ask.prompt:
            return Line(f"[{', '.join(proposals)}]")
        return Line("use four") if "at most five sentences" in ask.prompt else script(ask)

    return line


BEST = '{"preset": "self_consistency", "values": {"n": 5, "sampling.temperature": 0.2}}'


@pytest.fixture
def proposers(
    asked: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, ScriptedEngine]]:
    """Engines that also propose, with the model of each, in the order in which they were made."""
    made: list[tuple[str, ScriptedEngine]] = []

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        made.append((spec.model, ScriptedEngine(proposing(BEST, '{"preset": "nobody"}'))))
        return made[-1][1]

    monkeypatch.setattr(running, "make_engine", make_engine)
    return made


def test_a_model_proposes_what_is_tried(
    tts: Tts, proposers: list[tuple[str, ScriptedEngine]]
) -> None:
    more = ("--trials", "3", "--optimiser", "llm", "--engine-for", "optimiser=bundled:draft")
    done = search(tts, *more)
    assert done.code == 0, done.err
    # 5 samples are not offered; 4 are the nearest. The second proposal names no preset.
    assert "choice self_consistency --set n=4 --set sampling.temperature=0.2" in done.out
    assert "0 proposals as the model made them, 1 mended; replaced by random" in done.out
    assert "0 known before, 4 unreadable or missing" in done.out
    (first, second) = (engine for _, engine in proposers)
    asked = [e for e in (first, second) if any("JSON list" in p for p in prompts_of(e))]
    assert len(asked) == 1 and len(asked[0].requests) == 1
    again = search(tts, *more)
    assert again.out == done.out
    assert not any(engine.requests for _, engine in proposers[2:])


def test_chance_searches_beside_a_model_of_its_own(
    tts: Tts, proposers: list[tuple[str, ScriptedEngine]]
) -> None:
    more = ("--optimiser", "llm", "--engine-for", "optimiser=bundled:draft")
    repeats = ("--against", "random", "--seeds", "2", "--test", "8")
    done = search(tts, "--trials", "3", *more, *repeats)
    assert done.code == 0, done.err
    assert "gain   llm over random: " in done.out
    alone = search(tts, "--optimiser", "random", *more[2:])
    assert alone.code == 2 and "engine 'optimiser': nothing asks" in alone.err


def test_without_an_engine_of_that_name_the_runs_own_proposes(
    tts: Tts, proposers: list[tuple[str, ScriptedEngine]]
) -> None:
    done = search(tts, "--trials", "7", "--optimiser", "llm")
    assert "2 rounds" in done.out, done.err
    ((_, engine),) = proposers
    assert sum("JSON list" in text for text in prompts_of(engine)) == 2


GRAPHS = """
graph: {engines: {"": 1, big: 2}, budget: 4}
presets: {single: }
"""


def test_graphs_of_models_are_searched(
    tts: Tts, asked: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ScriptedEngine] = []

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        # The run's own model is always wrong, the other one right; a fuser believes the last.
        def line(ask: Ask) -> Line:
            words = ask.prompt.rpartition("What is ")[2].split("?")[0].split()
            right = int(words[0]) + int(words[2])
            seen = f"{{{right}}}" in ask.prompt
            return Line(rf"\boxed{{{right + (not (seen or spec.model.endswith('draft')))}}}")

        made.append(ScriptedEngine(line))
        return made[-1]

    monkeypatch.setattr(running, "make_engine", make_engine)
    Path("space.yaml").write_text(GRAPHS)
    more = ("--trials", "8", "--optimiser", "reinforce", "--engine-for", "big=bundled:draft")
    done = search(tts, *more)
    assert done.code == 0, done.err
    assert "tried  8 graphs and 1 presets as they are" in done.out
    assert "likeliest edges: " in done.out
    assert "choice runs/search/graphs/graph-" in done.out and "100.0%" in done.out
    assert "engine: big" in Path("found.yaml").read_text()
    # Learned on the first eight problems, compared on the other 24, half-way on eight of them.
    solved = {
        tuple(sorted(int(row["problem"][1:]) for row in read_problems(run)))
        for run in Path("runs/search").glob("file-*")
    }
    assert solved == {tuple(range(8)), tuple(range(8, 16)), tuple(range(8, 32))}
    assert search(tts, *more).out == done.out
    options = ("--data", "sums.jsonl", "--preset", "found.yaml", "--limit", "8", "--json")
    evaluated = tts("eval", "file", *options, "--engine-for", "big=bundled:draft")
    (run,) = evaluated.json["runs"]
    assert run["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("space", "more", "said"),
    [
        (SPACE, ("--optimiser", "reinforce"), "the space has no 'graph'"),
        (GRAPHS, ("--optimiser", "llm"), "searched by --optimiser reinforce or random, not by llm"),
        (GRAPHS.replace("4}", "1.5}"), (), "space.yaml:2: units are whole numbers of 1 or more"),
        (GRAPHS.replace(", budget: 4", ""), (), "space.yaml:2: 'graph' has 'engines' and 'budget'"),
        (GRAPHS.replace("{single: }", "{single: {sampling.top_p: [1]}}"), (), "run as they are"),
        (SPACE, ("--unit", "pounds"), "there is no unit 'pounds'"),
        (SPACE, ("--unit", "usd"), "usd a problem are not known: no price is known"),
    ],
)
def test_what_does_not_fit_is_refused(
    tts: Tts, asked: list[ScriptedEngine], space: str, more: tuple[str, ...], said: str
) -> None:
    Path("space.yaml").write_text(space)
    done = search(tts, *more)
    assert done.code == 2 and said in done.err
