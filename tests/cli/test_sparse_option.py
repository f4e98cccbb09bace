"""--sparse: what it becomes, what a run records of it, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome
from tts.cli._engine import parse_engine
from tts.console.tables import kv_read
from tts.engine.sparse_config import SparseConfig
from tts.errors import InputError

Tts = Callable[..., Outcome]


def test_the_option_is_part_of_the_engine_and_of_the_command_to_repeat() -> None:
    options = parse_engine("vllm", "m", sparse="budget=2048,page=64,local=2")
    assert options.own.sparse == SparseConfig(2_048, page_size=64)
    assert options.config["sparse"] == "budget=2048,page=64"
    assert options.to_arguments() == ["--model", "m", "--sparse", "budget=2048,page=64"]
    assert "sparse" not in parse_engine("vllm", "m").config


@pytest.mark.parametrize(
    ("kind", "base_url", "sparse", "message"),
    [
        ("openai", "http://x", "budget=1024", "--sparse changes the attention of --engine vllm"),
        ("vllm", None, "page=64", "budget is missing"),
    ],
)
def test_what_does_not_fit_is_refused(
    kind: str, base_url: str | None, sparse: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        parse_engine(kind, "m", base_url=base_url, sparse=sparse)  # type: ignore[arg-type]


def test_a_run_records_what_it_attended_to(tts: Tts, data: str) -> None:
    outcome = tts("eval", "jsonl", "--data", data, "--preset", "single", "--sparse", "budget=1024")
    assert outcome.code == 0, outcome.err
    assert "--sparse budget=1024" in outcome.out
    (record,) = Path("runs").glob("*/run.json")
    assert '"sparse": "budget=1024"' in record.read_text()


def test_what_was_read_stands_beside_what_dense_reads() -> None:
    sparse = {"kv_bytes": {"read": 1_500_000, "dense": 6_000_000}}
    assert kv_read(sparse) == "1.5 MB where dense decode reads 6.0 (25%)"
    for nothing in ({}, {"read": None, "dense": None}, {"read": 5, "dense": 5}):
        assert kv_read({"kv_bytes": nothing}) == ""
    assert kv_read({}) == ""


@pytest.mark.parametrize(
    "command", [("solve", "What is 2 + 2?"), ("eval", "chain"), ("calibrate", "chain")]
)
def test_a_wrong_option_costs_no_engine(tts: Tts, command: tuple[str, ...]) -> None:
    outcome = tts(*command, "--sparse", "budget=lots")
    assert outcome.code == 2
    assert "budget needs a whole number" in outcome.err
