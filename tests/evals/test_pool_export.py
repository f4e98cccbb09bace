"""A run becomes a pool, and what the pool replays is what the run drew."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.evals.test_runner import PROBLEMS, plan, records, run
from tests.support.pools import row, write_pool
from tts import prompts
from tts.cli.main import run as tts
from tts.engine.pools import load_pool
from tts.engine.replay import ReplayEngine
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import InputError, StoreError
from tts.evals.plan import Plan
from tts.evals.pool_export import export_pool
from tts.evals.runner import evaluate
from tts.parts.build import build_part
from tts.presets.load import load_preset
from tts.types import Completion, GenerationRequest, Problem, Sampling
from tts.types.figures import Summary


def say(ask: Ask) -> Line:
    """Right, wrong or without an answer, by seed."""
    number = int(ask.prompt.split("Say ")[1].split(".")[0])
    said = (rf"so \boxed{{{number}}}", r"then \boxed{99}", "no idea")[ask.seed % 3]
    return Line(said, logprobs=tuple(-0.25 for _ in said), confidences=tuple(2.0 for _ in said))


def recorded(root: Path, *overrides: str, **changes: Any) -> Summary:
    return run(plan("self_consistency", "n=4", *overrides, **changes), ScriptedEngine(say), root)


def replayed(pool: Path, root: Path, n: int, *overrides: str) -> Summary:
    """Evaluate the benchmark `pool` on an exported file."""
    benchmark = build_part("benchmark", "pool", {"data": pool})
    made = Plan(
        "pool",
        tuple(benchmark.problems("test")),
        benchmark.grade,
        load_preset("self_consistency", (f"n={n}", *overrides)),
        options={"engine": "replay"},
    )
    return asyncio.run(evaluate(made, ReplayEngine(str(pool)), root=root))


def drawn(summary: Summary) -> dict[str, Counter[Any]]:
    """Return what samples a problem has, in whatever order they came."""
    found: dict[str, Counter[Any]] = {}
    for record in records(summary):
        samples = [(s.answer, s.correct, s.tokens) for s in record.samples]
        found.setdefault(record.id, Counter()).update(samples)
    return found


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.jsonl.gz"])
def test_a_pool_replays_the_samples_of_its_run(name: str, tmp_path: Path) -> None:
    first = recorded(tmp_path / "a", repeats=2)
    done = export_pool(Path(first.out), tmp_path / name)
    # 6 problems x 4 samples x 2 repeats.
    assert (done.problems, done.samples, done.without_text, done.cut) == (6, 48, 0, 0)
    pool = load_pool(str(tmp_path / name))
    assert pool.series == "scripted"
    assert [p.problem.id for p in pool.problems] == [p.id for p in PROBLEMS]
    assert [p.problem.reference for p in pool.problems] == [p.reference for p in PROBLEMS]
    again = replayed(tmp_path / name, tmp_path / "b", n=8)
    assert drawn(again) == drawn(first)
    assert again.pass_at_k[1] == pytest.approx(first.pass_at_k[1])
    assert again.tokens.generated == first.tokens.generated


def test_a_pool_knows_what_the_run_cost(tmp_path: Path) -> None:
    engine = ScriptedEngine(say)
    first = run(plan("self_consistency", "n=4"), engine, tmp_path / "a")
    export_pool(Path(first.out), tmp_path / "pool.jsonl")
    pool = load_pool(str(tmp_path / "pool.jsonl"))
    assert pool.shape is not None and pool.shape.shape == engine.info.shape
    again = replayed(tmp_path / "pool.jsonl", tmp_path / "b", n=4)
    assert again.tokens.prompt == first.tokens.prompt
    assert again.cost.eflops is not None  # the prompt is cached after the first sample here


def test_texts_are_those_of_their_samples(tmp_path: Path) -> None:
    first = recorded(tmp_path)
    export_pool(Path(first.out), tmp_path / "pool.jsonl")
    for problem in load_pool(str(tmp_path / "pool.jsonl")).problems:
        for sample in problem.samples:
            said = {"99": r"then \boxed{99}", None: "no idea"}
            assert sample.text == said.get(sample.answer, rf"so \boxed{{{sample.answer}}}")
            assert sample.tokens == len(sample.text)  # a character a token
            assert sample.correct == (sample.answer == problem.problem.reference)
            assert sample.logprobs is None and sample.token_ids == ()


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / f"{root}.jsonl.gz" for root in ("a", "b")]
    for file in files:
        export_pool(Path(recorded(tmp_path / file.stem).out), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(p.name for p in tmp_path.glob("*.part")) == []


def test_ids_and_log_probabilities_are_replayed_where_they_were_chosen(tmp_path: Path) -> None:
    first = recorded(tmp_path / "a", "sampling.logprobs=20")
    plain, full = tmp_path / "plain.jsonl", tmp_path / "full.jsonl"
    export_pool(Path(first.out), plain)
    export_pool(Path(first.out), full, token_ids=True, logprobs=True)
    assert not load_pool(str(plain)).has_logprobs
    pool = load_pool(str(full))
    sample = pool.problems[0].samples[0]
    assert sample.token_ids == tuple(map(ord, sample.text))  # the scripted engine's ids
    assert sample.logprobs == (-0.25,) * len(sample.text)
    assert sample.confidences == (2.0,) * len(sample.text)
    scored = replayed(full, tmp_path / "b", 4, "sampling.logprobs=20")
    assert drawn(scored) == drawn(first)
    request = GenerationRequest(prompts.solve(PROBLEMS[0]), Sampling(logprobs=20, max_tokens=3))
    cut = asyncio.run(_first_of(ReplayEngine(pool), request))
    assert (cut.finish_reason, len(cut.token_ids), cut.logprobs) == ("length", 3, (-0.25,) * 3)
    silent = replace(request, sampling=Sampling())
    assert asyncio.run(_first_of(ReplayEngine(pool), silent)).logprobs is None


async def _first_of(engine: ReplayEngine, request: GenerationRequest) -> Completion:
    (only,) = [completion async for completion in engine.generate(request)]
    return only


def test_what_a_run_did_not_record_cannot_be_chosen(tmp_path: Path) -> None:
    folder = Path(recorded(tmp_path).out)
    with pytest.raises(InputError, match=r"run it with --set sampling.logprobs=20"):
        export_pool(folder, tmp_path / "p.jsonl", logprobs=True)
    assert not (tmp_path / "p.jsonl").exists()
    with pytest.raises(StoreError, match="no run here"):
        export_pool(tmp_path, tmp_path / "p.jsonl")
    with pytest.raises(StoreError, match="cannot be written"):
        export_pool(folder, tmp_path / "missing" / "p.jsonl")


def test_metadata_and_programs_go_with_their_problem(tmp_path: Path) -> None:
    metadata = {"level": 3, "tests": ["assert f(1) == 2"], "samples": "hidden by the pool's own"}
    problem = Problem("c", "Say 1.", answer_type="code", metadata=metadata)
    line = Line("```python\n    return 1\n```")
    first = run(plan(problems=(problem,)), ScriptedEngine(lambda _: line), tmp_path)
    export_pool(Path(first.out), tmp_path / "p.jsonl")
    (recorded_problem,) = load_pool(str(tmp_path / "p.jsonl")).problems
    assert recorded_problem.problem.answer_type == "code"
    kept = recorded_problem.problem.metadata
    assert (kept["level"], kept["tests"]) == (3, ["assert f(1) == 2"])
    assert "hidden by" not in json.dumps(kept)
    second = replayed(tmp_path / "p.jsonl", tmp_path / "b", n=4)
    assert {s.answer for s in records(second)[0].samples} == {"    return 1"}


def test_statements_that_a_pool_leaves_out_come_from_its_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [row("a", ["4", "5"], prompt_tokens=7, problem="Problem a"), row("b", ["4"])]
    write_pool(tmp_path, *lines, name="bare.jsonl.gz")
    problems = [{"id": name, "problem": f"Say {name}.", "answer": "4"} for name in "cba"]
    Path("data.jsonl").write_text("\n".join(map(json.dumps, problems)))
    words = ["pool", "statements", "bare.jsonl.gz", "file", "--data", "data.jsonl", "-o", "f.jsonl"]
    assert tts(words) == 0
    assert "f.jsonl, 2 problems with their statements" in capsys.readouterr().out
    bare, full = load_pool("bare.jsonl.gz").problems, load_pool("f.jsonl").problems
    assert [p.problem.statement for p in full] == ["Say a.", "Say b."]
    assert [p.samples for p in full] == [p.samples for p in bare]
    assert [p.prompt_tokens for p in full] == [7, None]
    for wrong, why in (
        (problems[1:2], "bare.jsonl.gz:1: a is none of the 1 problems given"),
        ([*problems[:2], {**problems[2], "answer": "9"}], "answer to a is 4 there and 9 here"),
    ):
        Path("data.jsonl").write_text("\n".join(map(json.dumps, wrong)))
        assert tts(words) == 2
        assert why in " ".join(capsys.readouterr().err.split())


def test_revisions_are_no_samples_of_a_pool(tmp_path: Path) -> None:
    first = run(plan("self_refine", "sampling.max_tokens=50"), ScriptedEngine(say), tmp_path)
    independent = sum(len(r.independent_samples) for r in records(first))
    assert 0 < independent < first.samples
    done = export_pool(Path(first.out), tmp_path / "p.jsonl")
    assert done.samples == independent


def test_the_command_says_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recorded(tmp_path / "runs").out
    monkeypatch.chdir(tmp_path)
    assert tts(["pool", "export", folder, "-o", "p.jsonl.gz"]) == 0
    printed = capsys.readouterr().out
    assert "p.jsonl.gz, 6 problems, 24 samples" in printed
    assert "tts eval pool --model replay:p.jsonl.gz" in printed
    assert tts(["eval", "pool", "--model", "replay:p.jsonl.gz", "--set", "n=4"]) == 0
    assert tts(["pool", "export", "nowhere", "-o", "q.jsonl"]) == 2
    assert "no run here" in capsys.readouterr().err
