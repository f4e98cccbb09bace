"""Runs to look at: a vote over hostile texts, and a search, both on scripted engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import write_sums
from tests.support.searching import steps_of, whole
from tts.cli.main import run
from tts.engine import running
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine
from tts.engine.spec import EngineSpec

HOSTILE = (
    "<think>hm, <b>bold</b></think><script>window.stolen = 1</script>"
    '<img src=x onerror="window.stolen = 2"> \\(\\href{javascript:window.stolen=3}{x} + 1\\) '
    "[link](javascript:window.stolen=4) </script><!-- \\(x^2\\) \\boxed{%d}"
)


def vote(ask: Ask) -> Line:
    """Say the right sum in one sample of four, and a wrong one in the others."""
    words = ask.prompt.split("What is ")[1].split("?")[0].split()
    total = int(words[0]) + int(words[2])
    return Line(HOSTILE % (total if ask.index == 0 else total + 1))


def search(ask: Ask) -> Line:
    return Line(f"{ask.seed % 3}\n\nmore" if len(steps_of(ask)) < 2 else r"\boxed{7}")


def evaluate(script: Script, *arguments: str) -> None:
    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(script)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "make_engine", make_engine)
        assert run(["eval", *arguments]) == 0


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of three runs: two votes over five sums, and a search on one chain."""
    folder = tmp_path_factory.mktemp("runs")
    sums = write_sums(folder / "sums.jsonl", 5)
    votes = ("file", "--data", sums, "--preset", "self_consistency", "--set", "n=4")
    evaluate(vote, *votes, "--out", str(folder))
    evaluate(vote, "file", "--data", sums, "--preset", "single", "--out", str(folder))
    small = ("--set", "verifier=rule", "--set", "sampling.max_tokens=60")
    evaluate(
        whole(search), "chain", "--preset", "rebase", "--limit", "1", *small, "--out", str(folder)
    )
    yield folder


@pytest.fixture(scope="session")
def chose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one run, in which `auto` sized the vote over three sums."""
    folder = tmp_path_factory.mktemp("chose")
    sums = write_sums(folder / "sums.jsonl", 3)
    auto = ("--preset", "auto", "--set", "n=6", "--out", str(folder))
    evaluate(vote, "file", "--data", sums, *auto)
    return folder


@pytest.fixture
def voted(runs: Path) -> Path:
    """The run of the vote."""
    (found,) = runs.glob("*self_consistency*")
    return found


@pytest.fixture
def searched(runs: Path) -> Path:
    """The run of the search."""
    (found,) = runs.glob("*rebase*")
    return found
