"""Runs of every preset with a search, killed anywhere, and compared in every figure.

Time is virtual in them (`virtual_time`), so that two undisturbed runs are equal in every figure. A
token takes a second; steps, and with them requests, differ in length. The kills are real ones.
"""

import multiprocessing
import os
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tts.bench.virtual_time import run_at_once
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import TTSError
from tts.evals.records import Record
from tts.evals.runner import Plan, evaluate
from tts.evals.stored_run import GENERATIONS, load_run
from tts.operators.tree_search import TreeSearch
from tts.parts.build import default_model, load_verifier
from tts.parts.catalog import preset_files
from tts.presets.load import load_preset
from tts.prompts import STEP_TAG
from tts.protocols import Verifier
from tts.types import Answer, Grade, Problem, ScoreRequest

NUM_PROBLEMS = 2
_HOME = Path(__file__).resolve().parents[2]  # of the package, from wherever it was imported
_MOST_KILLS = 3
_LONGEST_SECONDS = 120.0
_DEPTH = 3  # steps before the answer


@dataclass(frozen=True, slots=True)
class SearchTry:
    """A run with a search that was killed and finished.

    Attributes:
        preset: How it solved its problems.
        kills: How often its process was killed.
        lost: Why it is not finished, or which problems are not there once; empty if all are.
        unequal: Figures of problems that are not those of an undisturbed run.
    """

    preset: str
    kills: int
    lost: str
    unequal: int

    @property
    def failure(self) -> str:
        """Why it has not survived; empty if it has."""
        return self.lost or (f"{self.unequal} figures differ" if self.unequal else "")


def presets_with_searches() -> list[str]:
    """Return the names of the presets that search a tree."""
    return [
        name
        for name in preset_files()
        if any(isinstance(node.operator, TreeSearch) for _, node in load_preset(name).pipeline)
    ]


def measure_searches(
    root: Path, *, tries: int, seed: int, note: Callable[[str], None]
) -> list[SearchTry]:
    """Kill searches, and compare what they come to with undisturbed ones.

    Args:
        root: Takes the run folders.
        tries: Runs; presets take turns.
        seed: Of the moments.
        note: Told of each try.
    """
    presets, draw, done = presets_with_searches(), random.Random(seed), []
    for number in range(tries):
        preset = presets[number % len(presets)]
        whole = root / "whole" / preset
        if not whole.exists():
            _finish(whole, preset)
        one = _disturb(root / str(number), preset, whole, draw)
        note(
            f"try {number + 1} of {tries}: {preset}, {one.kills} kills: {one.failure or 'survived'}"
        )
        done.append(one)
    return done


def _disturb(root: Path, preset: str, whole: Path, draw: random.Random) -> SearchTry:
    kills = 0
    for _ in range(draw.randint(1, _MOST_KILLS)):
        kills += _kill(_start(root, preset), root, round(draw.random() * _logged(whole)))
    try:
        _finish(root, preset)
        found = _records(root)
    except (RuntimeError, TTSError) as error:
        return SearchTry(preset, kills, str(error), 0)
    wanted = _records(whole)
    if sorted(r.id for r in found) != sorted(r.id for r in wanted):
        return SearchTry(preset, kills, f"{len(found)} problems of {len(wanted)} are there", 0)
    expected = {record.id: _figures(record) for record in wanted}
    unequal = sum(
        figure != other
        for record in found
        for figure, other in zip(_figures(record), expected[record.id], strict=True)
    )
    return SearchTry(preset, kills, "", unequal)


def _start(root: Path, preset: str) -> BaseProcess:
    """Start a process that solves what is left; it is forked from one that has loaded all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_work, args=(root, preset), daemon=True)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(_HOME)  # read by the process that forks, when it starts
    try:
        process.start()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return process


def _kill(process: BaseProcess, root: Path, size: int) -> int:
    """Kill a process once its log has a size; returns 0 if it had ended before."""
    end = time.monotonic() + _LONGEST_SECONDS
    while _logged(root) < size and process.is_alive() and time.monotonic() < end:
        time.sleep(0.0005)
    process.kill()
    process.join()
    return int(process.exitcode != 0)


def _logged(root: Path) -> int:
    return sum(path.stat().st_size for path in root.glob(f"*/{GENERATIONS}"))


def _finish(root: Path, preset: str) -> None:
    """Run to the end.

    Raises:
        RuntimeError: It does not come to an end, or fails.
    """
    process = _start(root, preset)
    process.join(_LONGEST_SECONDS)
    if process.exitcode != 0:
        process.kill()
        process.join()
        raise RuntimeError(f"hangs for {_LONGEST_SECONDS:g} s, or fails")


def _records(root: Path) -> tuple[Record, ...]:
    (folder,) = root.iterdir()
    return load_run(folder).records


def _figures(record: Record) -> tuple[Any, ...]:
    """Return all of a record that is not time, and not what an engine found in its cache."""
    usage = replace(
        record.usage,
        cached_tokens=0,
        reused_tokens=0,
        seconds=0.0,
        latency_tokens=0,  # what had come when a call was made: time, in tokens
        kv_block_seconds=0.0,
        flops=0.0,
    )
    facts = replace(
        record.facts, searches=tuple(replace(s, cached_tokens=0) for s in record.facts.searches)
    )
    samples = sorted(record.samples, key=lambda sample: sample.id)
    answer = record.answer, record.correct, record.error
    return answer, samples, usage, facts, record.is_cut, record.sequential_tokens


def _say(ask: Ask) -> Line:
    """A few steps of different lengths, then an answer that is right in half of the cases."""
    number = int(re.findall(r"Say (\d+)\.", ask.prompt)[-1])
    draw = random.Random(f"{ask.prompt}/{ask.seed}")
    written = ask.prompt.rpartition("<assistant>")[2].count("\n\n")
    steps = [
        f"step {draw.randint(0, 99)} {'x' * draw.randint(0, 30)}" for _ in range(_DEPTH - written)
    ]
    said = number if draw.random() < 0.5 else draw.randint(90, 99)
    return Line("\n\n".join([*steps, rf"so \boxed{{{said}}}"]))


def _reward(request: ScoreRequest) -> tuple[float, ...]:
    """Every step gets a number that depends on the text up to it."""
    ends = re.finditer(re.escape(STEP_TAG), request.prompt.prefill)
    return tuple(random.Random(request.prompt.prefill[: end.end()]).random() for end in ends)


def _grade(problem: Problem, answer: Answer) -> Grade:
    return Grade(answer.canonical == problem.reference)


def _verifiers(names: Mapping[str, None], engine: ScriptedEngine) -> dict[str, Verifier]:
    found: dict[str, Verifier] = {}
    for name in names:
        module, config = load_verifier(name)
        found[name] = module.build(config, *(() if default_model(name) is None else (engine,)))
    return found


def _work(root: Path, preset: str) -> None:
    """Solve problems until there are none left, or until the process is killed."""
    problems = tuple(
        Problem(id=f"p{i}", statement=f"Say {i}.", reference=str(i), answer_type="integer")
        for i in range(NUM_PROBLEMS)
    )
    plan = Plan("say", problems, _grade, load_preset(preset), options={"engine": "scripted"})
    names = [name for _, node in plan.preset.pipeline for name in node.operator.spec.verifiers]

    async def solve() -> None:
        engine = ScriptedEngine(_say, tick_seconds=1.0, rewards=_reward)
        found = _verifiers(dict.fromkeys(names), engine)
        await evaluate(plan, engine, root=root, verifiers=found)

    run_at_once(solve())
