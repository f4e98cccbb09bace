"""Engines in one line of text: what a line means, and which engines are started for several."""

import asyncio

import pytest

from tts.engine.replay import ReplayEngine
from tts.engine.running import make_engine
from tts.engine.sparse_config import SparseConfig
from tts.engine.spec import EngineSpec, resolve
from tts.errors import InputError, ProblemError


@pytest.fixture
def pool(tmp_path: object) -> str:
    path = f"{tmp_path}/pool.jsonl"
    with open(path, "w") as file:
        file.write('{"problem_id": "a", "model": "small", "samples": [{"answer": "1"}]}\n')
        file.write('{"problem_id": "a", "model": "large", "samples": [{"answer": "2"}]}\n')
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bundled:draft", EngineSpec("vllm", "bundled:draft")),
        ("gpt2", EngineSpec("vllm", "gpt2")),
        (
            "me/m?sparse=budget=1024,page=64",
            EngineSpec("vllm", "me/m", sparse=SparseConfig(1_024, page_size=64)),
        ),
        ("me/m?pooling", EngineSpec("vllm", "me/m", runner="pooling")),
        ("./v1@home", EngineSpec("vllm", "./v1@home")),
        ("me/m@http://x:8/v1", EngineSpec("openai", "me/m", base_url="http://x:8/v1")),
        ("m@https://x", EngineSpec("openai", "m", base_url="https://x")),
    ],
)
def test_a_line_is_an_engine(line: str, expected: EngineSpec) -> None:
    assert EngineSpec.parse(line) == expected


def test_recorded_samples_are_named_by_their_series(pool: str) -> None:
    spec = EngineSpec.parse(f"replay:{pool}#large")
    assert spec == EngineSpec("replay", "large", pool=f"{pool}#large")
    engine = asyncio.run(make_engine(spec))
    assert isinstance(engine, ReplayEngine) and engine.info.name == "large"


def test_a_line_without_an_engine_is_refused(pool: str) -> None:
    for line in ("", "@http://x", "?sparse=budget=1024", "?pooling"):
        with pytest.raises(InputError, match="write MODEL, MODEL@URL or replay:FILE"):
            EngineSpec.parse(line)
    with pytest.raises(InputError, match="no setting 'pages'; there are budget"):
        EngineSpec.parse("gpt2?sparse=pages=64")
    for line in ("m@http://x?sparse=budget=64", "m?sparse=budget=64@http://x"):
        with pytest.raises(InputError, match="sparse"):
            EngineSpec.parse(line)
    with pytest.raises(InputError, match="for embedded engines, not for servers"):
        EngineSpec.parse("m@http://x?pooling")
    with pytest.raises(InputError, match="a pooling model does not decode"):
        EngineSpec.parse("m?sparse=budget=1024?pooling")
    with pytest.raises(ProblemError, match="holds several models"):
        EngineSpec.parse(f"replay:{pool}")


def test_a_name_is_what_the_run_says_or_what_it_says_itself() -> None:
    specs = resolve(["big", "bundled:draft", "me/m", "unknown"], {"big": "gpt2", "me/m": "other"})
    assert {name: spec.model for name, spec in specs.items()} == {
        "big": "gpt2",
        "bundled:draft": "bundled:draft",
        "me/m": "other",
    }
