"""--engine-arg: what becomes of it, what a run records of it, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.console.tables import kv_read
from tts.engine import running
from tts.engine.scripted import ScriptedEngine, lines
from tts.engine.sparse_config import SparseConfig
from tts.engine.spec import EngineSpec
from tts.types.figures import KVBytes

Tts = Callable[..., Outcome]


@pytest.fixture
def made(tts: Tts, monkeypatch: pytest.MonkeyPatch) -> list[EngineSpec]:
    """Return the engines that the command line makes, by what was asked of them."""
    specs: list[EngineSpec] = []

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        specs.append(spec)
        return ScriptedEngine(lines(r"\boxed{2}"))

    monkeypatch.setattr(running, "make_engine", make_engine)
    return specs


def test_options_reach_the_engine_as_vllm_names_them(tts: Tts, made: list[EngineSpec]) -> None:
    args = ("dtype=float32", "max_model_len=4096", "sparse=budget=2048,page=64", "seed=7")
    flags = [word for arg in args for word in ("--engine-arg", arg)]
    assert tts("solve", "What is 1 plus 1?", *flags).code == 0
    (spec,) = made
    assert spec.options == {
        "dtype": "float32",
        "max_model_len": 4096,
        "sparse": SparseConfig(2_048, page_size=64),
        "seed": 7,
        "gpu_memory_utilization": 0.9,  # all that engines may take, of a GPU that it has alone
    }


def test_a_name_before_the_key_says_whose_option_it_is(tts: Tts, made: list[EngineSpec]) -> None:
    outcome = tts(
        *("solve", "What is 1 plus 1?", "--preset", "mixture", "--set", "n=4"),
        *("--set", "engines=[small, bundled:draft, '']", "--engine-for", "small=my/small"),
        *("--engine-arg", "small.dtype=float32", "--engine-arg", "bundled:draft.seed=3"),
    )
    assert outcome.code == 0, outcome.err
    options = {spec.model: dict(spec.options) for spec in made}
    assert options["my/small"]["dtype"] == "float32"
    assert options["bundled:draft"]["seed"] == 3
    assert options["bundled:reasoner"].keys() == {"gpu_memory_utilization"}


def test_servers_take_options_of_a_client(tts: Tts, made: list[EngineSpec]) -> None:
    words = ("solve", "What is 1 plus 1?", "--model", "m@http://localhost:1/v1")
    assert tts(*words, "--engine-arg", "timeout=30", "--engine-arg", "price_in=0.5").code == 0
    assert made[0].options == {"timeout": 30.0, "price_in": 0.5}
    refused = tts(*words, "--engine-arg", "dtype=float32")
    assert refused.code == 2 and "no engine option 'dtype' of a server; there are" in refused.err


def test_a_run_records_its_options_and_says_them_again(tts: Tts, data: str) -> None:
    words = ("eval", "file", "--data", data, "--preset", "single")
    outcome = tts(*words, "--engine-arg", "sparse=budget=1024")
    assert outcome.code == 0, outcome.err
    assert "--engine-arg sparse=budget=1024" in outcome.out.splitlines()[-1]
    (record,) = Path("runs").glob("*/run.json")
    config = json.loads(record.read_text())["config"]
    assert config["engine_args"] == {"sparse": "budget=1024"}
    plain = tts(*words, "--json").json["runs"][0]
    assert Path(plain["out"]) != record.parent
    assert "engine_args" not in json.loads((Path(plain["out"]) / "run.json").read_text())["config"]


def test_a_password_in_an_address_is_written_nowhere(
    tts: Tts, data: str, made: list[EngineSpec]
) -> None:
    words = ("eval", "file", "--data", data, "--preset", "single")
    outcome = tts(*words, "--model", "m@http://me:secret@localhost:1/v1")
    assert outcome.code == 0, outcome.err
    assert made[0].base_url == "http://me:secret@localhost:1/v1"
    assert "m@http://***@localhost:1/v1" in outcome.out
    files = [path for path in Path("runs").rglob("*") if path.is_file()]
    assert files and not any(b"secret" in path.read_bytes() for path in files)
    assert "secret" not in outcome.out


def test_what_was_read_stands_beside_what_dense_reads() -> None:
    assert kv_read(KVBytes(1_500_000, 6_000_000)) == "1.5 MB where dense decode reads 6.0 (25%)"
    assert kv_read(KVBytes(None, None)) == kv_read(KVBytes(5, 5)) == kv_read(KVBytes(0, 0)) == ""


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("sparse=budget=lots", "budget needs a whole number"),
        ("sparse=page=64", "budget is missing"),
        ("gpu_memory_utilization=2", "less than or equal to 1"),
        ("max_model_len=many", "valid integer"),
        ("tensor_paralel_size=2", "did you mean 'tensor_parallel_size'?"),
        ("api_key=k", "no engine option 'api_key' of vLLM"),
        ("model=m", "cannot be set: the model is what stands in the spec"),
    ],
)
@pytest.mark.parametrize(
    "command", [("solve", "What is 2 + 2?"), ("eval", "chain"), ("calibrate", "chain")]
)
def test_a_wrong_option_costs_no_engine(
    tts: Tts, made: list[EngineSpec], command: tuple[str, ...], argument: str, message: str
) -> None:
    outcome = tts(*command, "--engine-arg", argument)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert made == []


def test_a_key_is_named_and_not_typed(tts: Tts) -> None:
    outcome = tts("solve", "1 + 1", "--model", "m@http://x/v1", "--engine-arg", "api_key=k")
    assert outcome.code == 2 and "api_key_env=MY_KEY" in outcome.err
