"""`tts.solve` with presets that ask further engines: each starts once and is closed at the end."""

from collections.abc import Iterator
from typing import Any, Self

import pytest

from tests.scripted import ScriptedEngine
from tests.solving import says
from tts import api
from tts.engine.spec import EngineSpec
from tts.errors import CapabilityError
from tts.presets import load_preset


class Engine(ScriptedEngine):
    """Says 7 and notes when it is closed."""

    def __init__(self, model: str) -> None:
        super().__init__(says(7))
        self.model = model
        self.is_closed = False

    async def start(self) -> Self:
        return self

    async def aclose(self) -> None:
        self.is_closed = True
        await super().aclose()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Engine]]:
    """Return the engines that `solve` starts in place of real ones."""
    engines: list[Engine] = []

    def embedded(model: str, **_: Any) -> Engine:
        engines.append(Engine(model))
        return engines[-1]

    async def make_engine(spec: EngineSpec) -> Engine:
        return embedded(spec.model)

    api.shutdown()
    monkeypatch.setattr(api, "VLLMEngine", embedded)
    monkeypatch.setattr(api, "make_engine", make_engine)
    yield engines
    api.shutdown()


def test_a_name_says_itself_which_engine_it_is(started: list[Engine]) -> None:
    preset = load_preset("mixture", ["n=4", "engines=[bundled:draft, '', bundled:reasoner]"])
    for _ in range(2):
        result = api.solve("What is 3 + 4?", preset=preset)
        assert result.answer is not None and result.answer.support.votes == 4
    # The third is the session's own engine, and no engine is started twice.
    assert [engine.model for engine in started] == ["bundled:reasoner", "bundled:draft"]
    api.shutdown()
    assert all(engine.is_closed for engine in started)


def test_a_plain_name_is_nobody(started: list[Engine]) -> None:
    with pytest.raises(CapabilityError, match="needs the engine 'draft'; this run has no other"):
        api.solve("What is 3 + 4?", preset=load_preset("cascade", ["draft=draft"]))
