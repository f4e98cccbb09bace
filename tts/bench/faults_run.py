"""Runs on a scripted engine that are killed and damaged, and the process that is killed."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.evals.runner import Plan, evaluate
from tts.evals.stored_run import GENERATIONS, load_run
from tts.presets.load import load_preset
from tts.types import Answer, Grade, Problem

PRESETS = ("self_consistency", "esc")
NUM_PROBLEMS = 40
_HOME = Path(__file__).resolve().parents[2]  # of the package, from wherever it was imported
_TICK_SECONDS = 0.002
_MOST_KILLS = 3
_LONGEST_SECONDS = 120.0
_DAMAGED = (GENERATIONS, "problems.jsonl", "trace.jsonl")


@dataclass(frozen=True, slots=True)
class Try:
    """A run that was killed, damaged and finished.

    Attributes:
        preset: How it solved its problems.
        kills: How often its process was killed.
        damages: How often a file of its folder was cut off at a random byte.
        lost: What is not as in a run that nobody disturbed; empty if it survived.
    """

    preset: str
    kills: int
    damages: int
    lost: str


def measure(root: Path, *, tries: int, seed: int, note: Callable[[str], None]) -> list[Try]:
    """Kill and damage runs, and compare what they come to with undisturbed ones.

    Args:
        root: Takes the run folders.
        tries: Runs.
        seed: Of the moments and places.
        note: Told of each try.
    """
    whole = {name: _outcome(_finish(root / "whole", name)) for name in PRESETS}
    draw, done = random.Random(seed), []
    for number in range(tries):
        preset = PRESETS[number % len(PRESETS)]
        one = _disturb(root / str(number), preset, whole[preset], draw)
        note(f"try {number + 1} of {tries}: {preset}, {one.kills} kills: {one.lost or 'survived'}")
        done.append(one)
    return done


def _disturb(root: Path, preset: str, whole: Counter[Any], draw: random.Random) -> Try:
    kills, damages = draw.randint(1, _MOST_KILLS), 0
    for _ in range(kills):
        _kill(_start(root, preset), root, draw.uniform(0.0, 0.5))
        if draw.random() < 0.5:
            damages += _damage(root, draw)
    try:
        found = _outcome(_finish(root, preset))
    except RuntimeError as error:
        return Try(preset, kills, damages, str(error))
    wrong = sum(((found - whole) + (whole - found)).values())
    return Try(preset, kills, damages, f"{wrong} records differ" if wrong else "")


def _start(root: Path, preset: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tts.bench.faults_run", str(root), preset]
    here = {**os.environ, "PYTHONPATH": str(_HOME)}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=here)


def _kill(process: "subprocess.Popen[str]", root: Path, seconds: float) -> None:
    """Kill a process some time after it has begun to work."""
    size, end = _logged(root), time.monotonic() + _LONGEST_SECONDS
    while _logged(root) == size and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _logged(root: Path) -> int:
    return sum(path.stat().st_size for path in root.glob(f"*/{GENERATIONS}"))


def _damage(root: Path, draw: random.Random) -> int:
    """Cut off a file at a random byte, as a disk that went away does; returns how many were."""
    files = [path for name in _DAMAGED for path in root.glob(f"*/{name}") if path.stat().st_size]
    if not files:
        return 0
    path = draw.choice(files)
    os.truncate(path, draw.randrange(path.stat().st_size))
    return 1


def _finish(root: Path, preset: str) -> Path:
    """Run to the end; returns the folder.

    Raises:
        RuntimeError: It does not come to an end, or fails.
    """
    process = _start(root, preset)
    try:
        _, said = process.communicate(timeout=_LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise RuntimeError(f"hangs for {_LONGEST_SECONDS:g} s") from None
    if process.returncode:
        raise RuntimeError(said.strip().splitlines()[-1] if said.strip() else "fails")
    (folder,) = root.glob(f"*-{preset}-*")
    return folder


def _outcome(folder: Path) -> Counter[Any]:
    """Return what must not depend on kills: each problem once, its answer and what it cost."""
    records = load_run(folder).records
    return Counter(
        (r.id, r.repeat, r.answer, r.correct, len(r.samples), r.usage.generated_tokens)
        for r in records
    )


def _say(ask: Ask) -> Line:
    """Two of three samples are right; lengths differ."""
    number = int(ask.prompt.split("Say ")[1].split(".")[0])
    said = number if ask.seed % 3 else 99
    return Line("x" * (ask.seed % 40) + rf"\boxed{{{said}}}")


def _grade(problem: Problem, answer: Answer) -> Grade:
    return Grade(answer.canonical == problem.reference)


def _work(root: Path, preset: str) -> None:
    """Solve problems until there are none left, or until the process is killed."""
    problems = tuple(
        Problem(id=f"p{i}", statement=f"Say {i}.", reference=str(i), answer_type="integer")
        for i in range(NUM_PROBLEMS)
    )
    plan = Plan("say", problems, _grade, load_preset(preset), options={"engine": "scripted"})
    engine = ScriptedEngine(_say, tick_seconds=_TICK_SECONDS)
    asyncio.run(evaluate(plan, engine, root=root))


if __name__ == "__main__":
    _work(Path(sys.argv[1]), sys.argv[2])
