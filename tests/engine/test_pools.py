"""Pools: series, statements, and errors that say where."""

import gzip
import json
from pathlib import Path

import pytest

from tests.support.pools import row, write_pool
from tts.engine import pools
from tts.engine.pools import load_pool, load_series
from tts.errors import ProblemError


def test_a_series_is_a_model_and_its_configuration(tmp_path: Path) -> None:
    path = write_pool(
        tmp_path,
        row("a", ["4", None], level=2),
        row("a", ["5"], config={"effort": "low"}),
        row("a", ["6"], config={"effort": "low"}),  # another run of the same
        {**row("a", ["7"]), "model": "other"},
    )
    sizes = {name: len(p.problems[0].samples) for name, p in load_series(path).items()}
    assert sizes == {"m": 2, 'm {"effort": "low"}': 2, "other": 1}
    pool = load_pool(f"{path}#oth")
    assert (pool.series, pool.problems[0].samples[0].answer) == ("other", "7")
    first = load_pool(f"{path}#m").problems[0].problem
    assert (first.id, first.reference, first.statement) == ("a", "4", "Recorded problem a")
    assert first.metadata == {"model": "m", "level": 2}
    with pytest.raises(ProblemError, match=r"(?s)several models; name one of.*#other"):
        load_pool(str(path))
    with pytest.raises(ProblemError, match="no single model 'x'"):
        load_pool(f"{path}#x")


def test_tokens_count_only_where_every_sample_has_them(tmp_path: Path) -> None:
    some = row("b", ["4"])
    del some["samples"][0]["tokens"]
    assert load_pool(str(write_pool(tmp_path, row("a", ["4"])))).has_tokens
    assert not load_pool(str(write_pool(tmp_path, row("a", ["4"]), some))).has_tokens


def test_a_shape_is_what_lines_say_or_what_the_name_tells(tmp_path: Path) -> None:
    own = {"parameters": 1_000, "layers": 2}
    path = write_pool(
        tmp_path,
        {**row("a", ["4"], shape=own), "model": "tuned-Qwen2.5-0.5B"},
        {**row("a", ["4"], prompt_tokens=7), "model": "Qwen2.5-0.5B-Instruct"},
        row("a", ["4"]),
    )
    tuned, known, nobodys = load_series(path).values()
    assert tuned.shape is not None and tuned.shape.shape == own
    assert known.shape is not None and known.shape.parameters == 494_000_000
    assert nobodys.shape is None
    assert known.has_prompt_tokens and not tuned.has_prompt_tokens
    assert known.problems[0].problem.metadata == {"model": "Qwen2.5-0.5B-Instruct"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", ":1: not JSON"),
        ("[]", ":1: each line is one object"),
        ('{"samples": []}', ":1: no 'problem_id'"),
        ('{"problem_id": "a", "samples": 3}', ":1: 'samples' is not a list"),
        ('{"problem_id": "a", "samples": [{"tokens": -1}]}', ":1: sample 0: tokens: "),
        ('{"problem_id": "a", "samples": [{"score": Infinity}]}', ":1: sample 0: score: "),
        ('{"problem_id": "a", "prompt_tokens": -1}', ":1: 'prompt_tokens' is no number"),
        ('{"problem_id": "a", "shape": {"size": 3}}', ":1: 'shape' is no shape of a model"),
        ('{"problem_id": "a", "shape": {"layers": 3}}', ":1: 'shape' has parameters, and"),
        ('{"problem_id": "a", "shape": [1]}', ":1: 'shape' is no shape of a model"),
        ("", "no recorded problems"),
    ],
)
def test_a_bad_line_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ProblemError, match=message):
        load_series(path)


def test_a_file_that_is_not_compressed_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl.gz"
    path.write_text(json.dumps(row("a", ["4"])))
    for name in (path, tmp_path / "nothing.jsonl"):
        with pytest.raises(ProblemError, match="cannot read the pool"):
            load_series(name)


def test_a_pool_that_grows_without_measure_when_it_is_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_FREE_BYTES", 10_000)
    path = tmp_path / "pool.jsonl.gz"
    lines = json.dumps(row("a", ["4"])).encode() + b"\n" + (b" " * 999 + b"\n") * 2_000
    path.write_bytes(gzip.compress(lines))
    assert path.stat().st_size < 10_000  # so that a hundred times that is half of the lines
    with pytest.raises(ProblemError, match=r"pool.jsonl.gz:\d+: unpacked it is 100 times as larg"):
        load_series(path)
    monkeypatch.setattr(pools, "_FREE_BYTES", 3_000_000)
    assert len(load_pool(str(path)).problems) == 1


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.jsonl.gz"])
def test_a_line_without_end_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_MAX_LINE_BYTES", 2**20)
    path = tmp_path / name
    data = b"\n" + b"[" * (2**20 + 1)
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with pytest.raises(ProblemError, match=r":2: a line of more than 1 MiB"):
        load_series(path)
