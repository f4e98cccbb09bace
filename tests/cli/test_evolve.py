"""`tts evolve`: the documented example improves; what is wrong is said before a token is spent."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tests.support.processes import start, strike
from tests.support.sandboxes import open_sandbox
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.verifiers._sandbox.sandbox import Limits

Tts = Callable[..., Outcome]
ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "evolution"
FIRST_FIT = """def choose(item, free):
    for i, room in enumerate(free):
        if room >= item:
            return i
    return len(free)
"""
BEST_FIT = """def choose(item, free):
    fits = [(room, i) for i, room in enumerate(free) if room >= item]
    return min(fits)[1] if fits else len(free)
"""
ALWAYS_NEW = "def choose(item, free):\n    return len(free)\n"
ALWAYS_FIRST = "def choose(item, free):\n    return 0\n"
ANSWERS = [ALWAYS_NEW, ALWAYS_FIRST, FIRST_FIT, "def choose(", BEST_FIT, FIRST_FIT]


@pytest.fixture
def evolve(tts: Tts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """The command on the example, with a model that answers as above, one after the other."""
    open_sandbox(Limits())  # skips where there is none
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    asked: list[str] = []

    def say(ask: Ask) -> Line:
        asked.append(ask.prompt)
        return Line(f"```python\n{ANSWERS[len(asked) - 1]}```")

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(say)

    monkeypatch.setattr(running, "make_engine", make_engine)
    words = ["evolve", "packing.py", "--evaluator", "packing_evaluator.py", "--set", "islands=1"]
    return lambda *more: tts(*words, "--set", "max_tokens=500", *more)


def test_the_example_improves(evolve: Callable[..., Outcome], tmp_path: Path) -> None:
    done = evolve("--iterations", "6", "--set", "way=rewrite", "--out", "out")
    assert done.code == 0, done.err
    # The first opens a bin whenever the last has no room; then first fit, then best fit.
    assert "program 3: score 90.3" in done.err and "program 5: score 91.6" in done.err
    assert "first  score 74.3" in done.out and "program 5 of 6" in done.out
    assert "held out: first 73.9" in done.out
    assert "scored 3 of 6 programs; left out: " in done.out and "1 (it is a copy)" in done.out
    assert "min(fits)" in (tmp_path / "out" / "best.py").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--set", "island=2"], "did you mean 'islands'?"),
        (["--set", "way=patch"], "way = 'patch'"),
        (["--budget", "much"], "much"),
    ],
)
def test_what_is_wrong_is_said(evolve: Callable[..., Outcome], more: list[str], said: str) -> None:
    done = evolve(*more)
    assert done.code == 2
    assert said in done.err


def test_files_that_are_not_there_are_named(tts: Tts) -> None:
    done = tts("evolve", "packing.py", "--evaluator", "none.py")
    assert done.code == 2 and "none.py: the evaluator cannot be read" in done.err


# Each program is a step up from its parent; slow enough to be hit in the middle.
CLIMBING = """
import re, sys
from tts.cli.main import run
from tts.engine import running
from tts.engine.scripted import Line, ScriptedEngine

def say(ask):
    number = int(re.findall(r"return (\\d+)", ask.prompt)[0])
    print("asked", flush=True)
    return Line(f"```python\\ndef f():\\n    return {number + 1 + ask.seed % 2}\\n```")

async def make_engine(spec):
    return ScriptedEngine(say, tick_seconds=float(sys.argv[1]))

running.make_engine = make_engine
sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_killed_process_goes_on_and_asks_for_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_sandbox(Limits())  # skips where there is none
    monkeypatch.chdir(tmp_path)
    Path("first.py").write_text("def f():\n    return 1\n")
    Path("measure.py").write_text("def evaluate(program):\n    return program.f()\n")

    def evolving(tick: str, out: str) -> subprocess.Popen[str]:
        words = ["evolve", "first.py", "--evaluator", "measure.py", "--iterations", "12"]
        words += ["--set", "way=rewrite", "--set", "islands=2", "--set", "max_tokens=200"]
        return start(CLIMBING, tick, *words, "--out", out)

    def programs(out: str) -> list[str]:
        path = Path(out) / "programs.jsonl"
        return path.read_text().splitlines() if path.is_file() else []

    first, _ = strike(evolving("0.01", "a"), lambda: len(programs("a")) >= 6)
    known = programs("a")
    assert 6 <= len(known) < 14
    said = {}
    for out in ("a", "b"):
        process = evolving("0", out)
        said[out], err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert programs("a") == programs("b") and programs("a")[: len(known) - 1] == known[:-1]
    # Of twelve answers those that had come before the kill are not asked for again: all but the
    # two that may have been on their way.
    assert said["b"].count("asked") == 12
    assert 12 <= first.count("asked") + said["a"].count("asked") <= 14
    # What was in flight at the kill counts as spent: two requests of 200 tokens at most.
    spent = [int(re.findall(r"spent +([\d,]+)", said[out])[0].replace(",", "")) for out in "ab"]
    assert spent[0] - spent[1] in (0, 200, 400)
    told = [re.sub(r"asked\n|wrote .*|spent .*", "", said[out]) for out in "ab"]
    assert told[0] == told[1] and "of 12 programs" in told[0]
