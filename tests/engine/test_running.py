"""Engines that run: equal ones are one, embedded ones split a GPU's memory, all are closed."""

import asyncio

import pytest

from tests.support.scripts import says
from tts.engine import running
from tts.engine.running import RunningEngines, reward_engine, split_memory
from tts.engine.scripted import ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.errors import EngineError, InputError, ModelError

POLICY, DRAFT = EngineSpec("vllm", "m"), EngineSpec("vllm", "d")
SERVER = EngineSpec("openai", "s")


def shares(*specs: EngineSpec) -> list[float | None]:
    return [spec.memory for spec in split_memory(specs).values()]


def test_embedded_engines_split_the_memory() -> None:
    assert shares(POLICY, POLICY) == [0.9]  # equal engines are one
    assert shares(POLICY, SERVER, DRAFT) == [0.45, None, 0.45]  # 0.9 / 2; a server has its own
    assert shares(POLICY, reward_engine("r")) == [0.6, 0.3]
    assert shares(POLICY, DRAFT, reward_engine("r")) == [0.3, 0.3, 0.3]  # (0.9 - 0.3) / 2
    mine = EngineSpec.parse("d", {"gpu_memory_utilization": 0.5})
    assert shares(POLICY, mine) == [0.4, 0.5]
    assert shares() == []
    with pytest.raises(InputError, match=r"take 0\.9 of a GPU's memory and leave none for m;"):
        shares(POLICY, *map(reward_engine, "abc"))


class Engine(ScriptedEngine):
    """Notes what is started and closed."""

    def __init__(self, spec: EngineSpec, events: list[str]) -> None:
        super().__init__(says(1))
        self.spec, self.events = spec, events
        events.append(f"start {spec.model}")

    async def aclose(self) -> None:
        self.events.append(f"close {self.spec.model}")
        if self.spec.model == "stuck":
            raise RuntimeError("cannot close")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what happens to scripted engines in place of real ones; `bad` cannot start."""
    events: list[str] = []

    async def make_engine(spec: EngineSpec) -> Engine:
        if spec.model == "bad":
            raise EngineError("no memory")
        return Engine(spec, events)

    monkeypatch.setattr(running, "make_engine", make_engine)
    return events


def test_only_what_changes_is_started_and_closed(events: list[str]) -> None:
    async def run() -> None:
        engines = RunningEngines()
        first = await engines.keep([POLICY])
        beside = await engines.keep([POLICY, SERVER])
        assert beside[POLICY] is first[POLICY]
        assert events == ["start m", "start s"]
        # A reward model takes its share from the policy, which starts anew; the server stays.
        await engines.keep([POLICY, SERVER, reward_engine("r")])
        assert events[2:] == ["close m", "start m", "start r"]
        await engines.aclose()
        assert sorted(events[5:]) == ["close m", "close r", "close s"]
        await engines.aclose()
        assert len(events) == 8  # each once

    asyncio.run(run())


def test_one_that_cannot_start_closes_the_others(events: list[str]) -> None:
    async def run() -> None:
        engines = RunningEngines()
        await engines.keep([SERVER])
        with pytest.raises(EngineError, match="no memory"):
            await engines.keep([SERVER, POLICY, EngineSpec("vllm", "bad"), DRAFT])
        assert events == ["start s", "start m", "close m", "close s"]
        await engines.keep([SERVER])
        assert events[4:] == ["start s"]

    asyncio.run(run())


def test_a_missing_folder_is_found_before_anything_starts(events: list[str]) -> None:
    async def run() -> None:
        engines = RunningEngines()
        with pytest.raises(ModelError, match=r"no model at \./nowhere"):
            await engines.keep([POLICY, EngineSpec.parse("./nowhere")])
        with pytest.raises(ModelError, match="no bundled model 'genius'"):
            await engines.keep([POLICY, EngineSpec.parse("bundled:genius")])
        assert events == []

    asyncio.run(run())


def test_one_that_cannot_be_closed_keeps_no_other_open(events: list[str]) -> None:
    async def run() -> None:
        engines = RunningEngines()
        await engines.keep([SERVER, EngineSpec("openai", "stuck"), POLICY])
        with pytest.raises(RuntimeError, match="cannot close"):
            await engines.aclose()
        assert events[3:] == ["close m", "close stuck", "close s"]

    asyncio.run(run())
