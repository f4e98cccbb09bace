"""The command line with a scripted engine in place of a model."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tts.cli.main import run
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec


def answer(ask: Ask) -> Line:
    """Add the two numbers of "What is A plus B?"; every third seed is off by one."""
    words = ask.prompt.split("What is ")[1].split("?")[0].split()
    total = int(words[0]) + int(words[2]) + (ask.seed % 3 == 0)
    return Line("x" * (ask.seed % 7) + rf"\boxed{{{total}}}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def tts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Run a command line in an empty folder, on a fresh scripted engine."""

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(answer)

    monkeypatch.setattr(running, "make_engine", make_engine)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run(arguments)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Five sums as a benchmark file."""
    rows = [
        {"id": f"s{i}", "problem": f"What is {i} plus 2?", "answer": str(i + 2)} for i in range(5)
    ]
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
