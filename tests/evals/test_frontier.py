"""The best way to spend, by hand; what is not known is said."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evals.test_laws import record
from tts.allocation.efficiency import frontier
from tts.cli.main import run
from tts.costs.flops import SparseReading
from tts.costs.shapes import known_shape, shape_named
from tts.errors import InputError
from tts.evals.laws.frontier import Point, points_of
from tts.evals.laws.frontier_plot import plot_frontier
from tts.evals.laws.series import Series
from tts.evals.records import Record
from tts.types import ModelInfo, Usage

SHAPE = ModelInfo("m", "", 1_000, 1, 1, 1, 1, "bfloat16")


def drawn(*lengths: int) -> Record:
    """Right samples of these lengths, after prompts of 100 tokens."""
    one = record("p", "r" * len(lengths))
    samples = [replace(s, tokens=n) for s, n in zip(one.samples, lengths, strict=True)]
    usage = Usage(prompt_tokens=100 * len(lengths), calls=len(lengths))
    return replace(one, samples=tuple(samples), usage=usage)


def test_samples_that_are_cut_have_no_answer_and_cost_less() -> None:
    points = points_of(Series("s", "m", [drawn(40, 100)]), unit="tokens")
    by_way = {(point.n, point.length): point for point in points}
    assert set(by_way) == {(n, length) for n in (1, 2) for length in (32, 64, None)}
    assert by_way[1, 32].accuracy == 0 and by_way[1, 64].accuracy == 0.5
    assert by_way[1, 64].cost == (40 + 64) / 2 and by_way[2, None].cost == 140
    longest = points_of(Series("s", "m", [drawn(40, 100)]), unit="sequential")
    assert {(p.n, p.length): p.cost for p in longest}[2, None] == 100


def test_operations_count_the_prompt_once_and_every_sample() -> None:
    # Weights: 2,000 a token, 100 of the prompt and 2 * 20 sampled. Attention, 4 a pair: 100 * 101/2
    # of the prompt, and for each sample the sum of 101 to 120. KV: 4 bytes for each of those.
    each = sum(range(101, 121))
    flops = 2_000 * 140 + 4 * (5_050 + 2 * each)
    series = Series("s", "m", [drawn(20, 20)], SHAPE)
    (_, two) = points_of(series, unit="flops")
    assert two.cost == flops
    (_, two) = points_of(series, unit="eflops")
    assert two.cost == pytest.approx(flops + 562.5 * 4 * 2 * each)
    # 16 tokens a step are kept, of blocks of 16: what is read falls, and choosing is added.
    sparse = replace(series, sparse=SparseReading(kept_tokens=16, block_tokens=16))
    (_, fewer) = points_of(sparse, unit="eflops")
    assert fewer.cost < two.cost and (fewer.kv_budget, two.kv_budget) == (16, None)


def test_the_frontier_keeps_what_nothing_as_cheap_beats() -> None:
    points = [Point("s", "m", 1, None, None, cost, share) for cost, share in WAYS]
    assert [(p.cost, p.accuracy) for p in frontier(points)] == [(1, 0.2), (2, 0.5), (8, 0.6)]
    assert len(plot_frontier(points, "eflops").axes) == 1


WAYS = [(8, 0.6), (1, 0.2), (2, 0.4), (2, 0.5), (4, 0.5), (0.5, 0.0), (9, 0.3)]


def test_shapes_are_known_by_name() -> None:
    found = known_shape("meta-llama/Llama-3.1-8B-Instruct (AWQ int4)")
    assert found is not None and (found.name, found.kv_heads) == ("Llama-3.1-8B", 8)
    longest = known_shape("DeepSeek-R1-Distill-Llama-8B")
    assert longest is not None and longest.layers == 32
    assert known_shape("somebody/else") is None
    with pytest.raises(InputError, match="no shape is known of 'else'; there are"):
        shape_named("else")


def test_what_is_not_known_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = tmp_path / "pool.jsonl"
    sample = {"answer": "4", "correct": True, "tokens": 10}
    line = {"problem_id": "p", "model": "m", "gold": "4", "samples": [sample, sample]}
    pool.write_text(json.dumps(line))
    assert run(["frontier", "--pool", str(pool)]) == 2
    assert 'such as --shape "pool=Llama-3.1-8B", or' in capsys.readouterr().err
    shaped = ["frontier", "--pool", str(pool), "--shape", "pool=Qwen3-8B"]
    assert run([*shaped, "--png", str(tmp_path / "f.png")]) == 0
    said = capsys.readouterr().out
    assert "shape of Qwen3-8B" in said and "prompts taken for 128 tokens" in said
    assert run([*shaped, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frontier"][0]["n"] == 1
    for wrong, why in (
        (["--shape", "other=Qwen3-8B"], "no series is called so; there are pool"),
        (["--unit", "usd"], "a frontier is in one of eflops"),
        (["--by", "best"], "write maj or pass"),
    ):
        assert run(["frontier", "--pool", str(pool), *wrong]) == 2
        assert why in " ".join(capsys.readouterr().err.split())
    del sample["tokens"]
    pool.write_text(json.dumps(line))
    assert run(["frontier", "--pool", str(pool), "--unit", "tokens"]) == 2
    assert "tokens were not counted" in capsys.readouterr().err
