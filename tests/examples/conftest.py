"""The examples with a scripted engine in place of the model."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tts
from tts.engine.scripted import Ask, Line, ScriptedEngine


def answer(ask: Ask) -> Line:
    """Add up the numbers of the statement."""
    total = sum(map(int, re.findall(r"\d+", ask.prompt)))
    return Line("x" * (ask.index % 3) + rf"\boxed{{{total}}}")


class FakeVLLM(ScriptedEngine):
    """Takes the embedded engine's place."""

    def __init__(self, model: str, **_: Any) -> None:
        super().__init__(answer)

    async def start(self) -> "FakeVLLM":
        return self


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tts.engine.running.VLLMEngine", FakeVLLM)
    yield
    tts.shutdown()
