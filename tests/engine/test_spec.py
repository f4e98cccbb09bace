"""Engines in one line of text: what a line means, and which engines are started for several."""

import asyncio

import pytest

from tests.scripted import ScriptedEngine
from tests.solving import says
from tts.engine.replay import ReplayEngine
from tts.engine.sparse_config import SparseConfig
from tts.engine.spec import EngineSpec, close_engines, make_engine, make_engines, resolve
from tts.errors import EngineError, InputError, ProblemError


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


def test_equal_engines_are_one_and_embedded_ones_split_the_memory() -> None:
    asked: list[EngineSpec] = []

    async def make(spec: EngineSpec) -> ScriptedEngine:
        asked.append(spec)
        return ScriptedEngine(says(1))

    server = EngineSpec("openai", "s")
    specs = {"": EngineSpec("vllm", "m"), "judge": EngineSpec("vllm", "m"), "far": server}
    engines = asyncio.run(make_engines(specs, make))
    assert engines[""] is engines["judge"] is not engines["far"]
    assert [(spec.model, spec.memory) for spec in asked] == [("m", 0.9), ("s", 0.9)]
    asked.clear()
    asyncio.run(make_engines({**specs, "draft": EngineSpec("vllm", "d")}, make))
    # 0.9 of the memory for two embedded ones; the server has its own.
    assert [(s.model, s.memory) for s in asked if s.kind == "vllm"] == [("m", 0.45), ("d", 0.45)]
    asked.clear()
    asyncio.run(make_engines({"": EngineSpec("vllm", "m")}, make, taken=0.3))
    assert [spec.memory for spec in asked] == [0.6]  # beside a reward model


def test_one_that_cannot_start_closes_the_others() -> None:
    closed: list[str] = []

    class Engine(ScriptedEngine):
        async def aclose(self) -> None:
            closed.append(self.info.name)

    async def make(spec: EngineSpec) -> ScriptedEngine:
        if spec.model == "bad":
            raise EngineError("no memory")
        return Engine(says(1))

    specs = {name: EngineSpec("vllm", name) for name in ("good", "bad", "late")}
    with pytest.raises(EngineError, match="no memory"):
        asyncio.run(make_engines(specs, make))
    assert closed == ["scripted"]


def test_each_is_closed_once() -> None:
    closed: list[int] = []

    class Engine(ScriptedEngine):
        async def aclose(self) -> None:
            closed.append(id(self))

    one, other = Engine(says(1)), Engine(says(1))
    asyncio.run(close_engines([one, other, one]))
    assert closed == [id(one), id(other)]
