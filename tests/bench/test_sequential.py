"""`tts bench sequential`: whole runs on a script that gains by long attempts, or by samples."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tests.support.pools import row, write_pool
from tts.engine import running
from tts.engine.scripted import ALL, Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec

Tts = Callable[..., Outcome]
ENGINES: list[ScriptedEngine] = []


def writer(ask: Ask) -> Line:
    """Solve problem i in 40 (i + 1) characters where it is let; a revision is always right.

    At temperature 0.8 every other sample is right; a forced answer is wrong.
    """
    number = int(ask.prompt.rpartition("number ")[2].split(".")[0])
    said = ask.prompt.rpartition("<assistant>")[2]
    if said.endswith("Final Answer:"):
        return Line(" \\boxed{99}")
    if "Check this attempt" in ask.prompt or "Each attempt revises" in ask.prompt:
        return Line(rf"\boxed{{{number}}}")
    is_right = ask.request.sampling.temperature == 0 or ask.seed % 2 == 0
    return Line("x" * (40 * (number + 1)) + rf"\boxed{{{number if is_right else 98}}}")


@pytest.fixture
def bench(tts: Tts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """The command on eight problems, with a model that cannot be told to think."""

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        ENGINES.append(ScriptedEngine(writer, capabilities=replace(ALL, thoughts=False)))
        return ENGINES[-1]

    monkeypatch.setattr(running, "make_engine", make_engine)
    ENGINES.clear()
    rows = [{"id": f"s{i}", "problem": f"Say number {i}.", "answer": i} for i in range(8)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["bench", "sequential", "file", "--data", "sums.jsonl", "--samples", "4"]
    return lambda *more: tts(*words, "--revisions", "4", "--tokens", "1000", *more)


def test_forcing_and_revisions_stand_against_samples_of_as_many_tokens(
    bench: Callable[..., Outcome], tmp_path: Path
) -> None:
    done = bench("--json", "--png", "figure.png")
    assert done.code == 0, done.err
    forced, revised = done.json["cells"]
    assert (forced["name"], revised["name"]) == ("file forcing", "file revisions")
    # Of lengths 49, 89, ..., 329 one is within 64 tokens, two within 128, six within 256 and all
    # within 512, so that 1,000 is not asked for.
    by_limit = [(point[0], point[2]) for point in forced["trace"]]
    assert by_limit == [(64, 1 / 8), (128, 2 / 8), (256, 6 / 8), (512, 1.0)]
    assert [point[0] for point in revised["trace"]] == [1, 2, 4]
    assert revised["trace"][-1][2] == 1.0 > revised["trace"][0][2]
    costs = [point[1] for point in revised["trace"]]
    # A revision has nine characters; the first attempts are those of the chain of one.
    assert costs[2] - costs[0] == pytest.approx(3 * 9)
    samples = forced["samples"]
    assert samples == revised["samples"] and [p[0] for p in samples["vote"]] == [1, 2, 4]
    assert set(forced["crossings"]) == {"best-of-n", "vote"}
    assert (tmp_path / "figure.png").stat().st_size > 5_000
    # 4 samples of 8 problems; four limits with 7, 6, 2 and 0 forced answers; chains of which the
    # longest alone draws its last attempts.
    asked = sum(request.n for engine in ENGINES for request in engine.requests)
    assert asked == 4 * 8 + (4 * 8 + 7 + 6 + 2) + 4 * 8


def test_recorded_samples_are_refused_before_any_is_drawn(
    bench: Callable[..., Outcome], tmp_path: Path
) -> None:
    write_pool(tmp_path, row("s0", ["0"] * 4))
    done = bench("--model", "replay:pool.jsonl.gz")
    assert done.code == 2 and "name the model itself" in done.err
    assert ENGINES == [] and not (tmp_path / "runs").exists()


def test_it_goes_on_where_it_was_and_says_what_it_found(bench: Callable[..., Outcome]) -> None:
    first = bench()
    assert first.code == 0, first.err
    drawn = len(ENGINES)
    again = bench()
    assert again.out == first.out
    assert not any(engine.requests for engine in ENGINES[drawn:])
    assert "file forcing: 64: 12.5% (" in first.out
    assert "vote of so many samples (tokens): 1: " in first.out


def test_a_model_that_thinks_is_forced_by_its_thoughts(
    tts: Tts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def thinker(ask: Ask) -> Line:
        if ask.prompt.endswith("<think>\n"):
            return Line("hm " * 10 + "</think>")
        return Line(r"\boxed{1}")

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(thinker)

    monkeypatch.setattr(running, "make_engine", make_engine)
    rows = [{"id": f"s{i}", "problem": f"Say {i}.", "answer": i} for i in range(2)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["bench", "sequential", "file", "--data", "sums.jsonl", "--samples", "2"]
    done = tts(*words, "--revisions", "2", "--tokens", "64", "--json")
    assert done.code == 0, done.err
    assert done.json["cells"][0]["name"] == "file forcing"
    assert list((tmp_path / "runs/bench_sequential").glob("file-budget_forcing-*"))
