"""`tts evolve`: the documented example improves; what is wrong is said before a token is spent."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tests.support.sandboxes import open_sandbox
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.verifiers._sandbox.sandbox import Limits

Tts = Callable[..., Outcome]
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "evolution"
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
    assert "scored 3 of 6 programs" in done.out and "1 it is a copy" in done.out
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
