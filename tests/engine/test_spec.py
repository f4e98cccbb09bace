"""Engines in one line of text: what a line means, which options go with it, what is made of it."""

import asyncio
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from tts.engine import options, running
from tts.engine.replay import ReplayEngine
from tts.engine.running import make_engine, reward_engine
from tts.engine.sparse_config import SparseConfig
from tts.engine.spec import EngineSpec, resolve, split_args
from tts.engine.vllm import VLLMEngine
from tts.errors import InputError, ProblemError

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")


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
        ("me/m?pooling", EngineSpec("vllm", "me/m", runner="pooling")),
        ("./v1@home", EngineSpec("vllm", "./v1@home")),
        ("me/m@http://x:8/v1", EngineSpec("openai", "me/m", base_url="http://x:8/v1")),
        ("m@https://x", EngineSpec("openai", "m", base_url="https://x")),
        ("@http://x:8/v1", EngineSpec("openai", "", base_url="http://x:8/v1")),
    ],
)
def test_a_line_is_an_engine(line: str, expected: EngineSpec) -> None:
    spec = EngineSpec.parse(line)
    assert spec == expected
    assert str(spec) == line


def test_recorded_samples_are_named_by_their_series(pool: str) -> None:
    spec = EngineSpec.parse(f"replay:{pool}#large")
    assert spec == EngineSpec("replay", "large", pool=f"{pool}#large")
    engine = asyncio.run(make_engine(spec))
    assert isinstance(engine, ReplayEngine) and engine.info.name == "large"


def test_options_are_part_of_an_engine() -> None:
    small = EngineSpec.parse("m", {"max_model_len": "512", "sparse": "budget=1024,page=64"})
    assert small.options == {"max_model_len": 512, "sparse": SparseConfig(1_024, page_size=64)}
    assert small != EngineSpec.parse("m") and hash(small) == hash(EngineSpec.parse("m"))
    assert small.to_mapping() == {
        "engine": "vllm",
        "engine_args": {"max_model_len": 512, "sparse": "budget=1024,page=64"},
    }
    assert (small.memory, small.with_memory(0.3).memory) == (None, 0.3)


@pytest.mark.parametrize("line", ["", "?pooling", "http://x/v1", "https://x"])
def test_a_line_without_an_engine_is_refused(line: str) -> None:
    with pytest.raises(InputError, match="write MODEL, MODEL@URL or replay:FILE"):
        EngineSpec.parse(line)


@pytest.mark.parametrize(
    ("line", "args", "message"),
    [
        ("m@http://x?pooling", {}, "for embedded engines, not for servers"),
        ("m@localhost:8000/v1", {}, "the address begins with http:// or https://"),
        ("m?sparse=budget=1024", {}, "only \\?pooling may follow a model"),
        ("m", {"sparse": "pages=64"}, "no setting 'pages'; there are budget"),
        ("m", {"num_gpu_blocks_overide": 8}, "did you mean 'num_gpu_blocks_override'"),
        ("m", {"gpu_memory_utilization": 0}, "gpu_memory_utilization = 0: input should be greater"),
        ("m", {"runner": "pooling"}, r"write MODEL\?pooling"),
        ("m@http://x", {"tiemout": 3}, "no engine option 'tiemout' of a server; did you mean"),
        ("m@http://x", {"rate": 0}, "rate = 0: input should be greater than 0"),
        ("m@http://x", {"api_key": "k"}, "api_key_env=MY_KEY"),
    ],
)
def test_what_does_not_fit_is_refused(line: str, args: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EngineSpec.parse(line, args)


def test_a_pool_of_several_models_needs_a_series_and_takes_no_options(pool: str) -> None:
    with pytest.raises(ProblemError, match="holds several models"):
        EngineSpec.parse(f"replay:{pool}")
    with pytest.raises(InputError, match="recorded samples take no 'seed'"):
        EngineSpec.parse(f"replay:{pool}#large", {"seed": 1})


@needs_vllm
def test_vllms_own_options_are_known_without_importing_it() -> None:
    code = """
import subprocess
import sys
from importlib.util import find_spec
from tts.engine.options import embedded_options
embedded_options({"num_gpu_blocks_override": 8})
print([name for name in ("torch", "vllm") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_vllm_unknown_options_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "_fields", lambda file, name: frozenset[str]())
    assert EngineSpec.parse("m", {"anything": 1}).options == {"anything": 1}


@needs_vllm
def test_the_constructor_refuses_what_vllm_lacks() -> None:
    with pytest.raises(InputError, match="did you mean 'quantization'"):
        VLLMEngine("some/model", quantisation="fp8")


def test_a_key_that_is_not_there_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(InputError, match="the environment has no variable 'MY_KEY'"):
        EngineSpec.parse("m@http://x", {"api_key_env": "MY_KEY"})


def test_options_are_handed_on_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sesame")
    made: list[tuple[str, dict[str, Any]]] = []

    class Client:
        def __init__(self, model: str, **given: Any) -> None:
            made.append((model, given))

        async def start(self) -> "Client":
            return self

    monkeypatch.setattr("tts.engine.openai.OpenAIEngine", Client)
    monkeypatch.setattr(running, "VLLMEngine", Client)

    async def make() -> None:
        await make_engine(EngineSpec.parse("m@http://x/v1", {"timeout": 3, "max_n": 2}))
        await make_engine(EngineSpec.parse("@http://x/v1", {"api_key_env": "KEY"}))
        await make_engine(EngineSpec.parse("m?pooling", {"dtype": "float32"}))

    asyncio.run(make())
    assert made == [
        ("m", {"base_url": "http://x/v1", "timeout": 3.0, "max_n": 2}),
        ("", {"base_url": "http://x/v1", "api_key_env": "KEY"}),
        ("m", {"runner": "pooling", "dtype": "float32"}),
    ]


def test_reward_models_run_embedded() -> None:
    assert reward_engine("my/prm").runner == "pooling"
    with pytest.raises(InputError, match="reward models run embedded"):
        reward_engine("m@http://x/v1")


def test_a_name_is_what_the_run_says_or_what_it_says_itself() -> None:
    big, other = EngineSpec.parse("gpt2"), EngineSpec.parse("other")
    names = ["big", "bundled:draft", "me/m", "unknown"]
    specs = resolve(names, {"big": big, "me/m": other}, {"bundled:draft": {"seed": 1}})
    assert {name: spec.model for name, spec in specs.items()} == {
        "big": "gpt2",
        "bundled:draft": "bundled:draft",
        "me/m": "other",
    }
    assert specs["bundled:draft"].options == {"seed": 1}


def test_options_are_told_apart_by_engine() -> None:
    args = {"dtype": "auto", "draft.dtype": "float32", "me/m1.5.seed": 1}
    assert split_args(args) == {
        "": {"dtype": "auto"},
        "draft": {"dtype": "float32"},
        "me/m1.5": {"seed": 1},
    }
