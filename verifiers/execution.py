"""Runs an attempt's Python code against the problem's tests, in a sandbox.

`problem.metadata["tests"]` is a list: a text is code that fails by raising, such as
"assert solve(3) == 4", run after the attempt; a mapping with `input` and `output` runs the attempt
as a program and compares what it prints, trailing spaces apart. The score is the share of tests
passed, with one value per test. Each test has a process of its own.

A passed assertion is known by a word of chance that only the end of the program prints. Code that
reads its own file could print it early: the sandbox protects the machine, not the score.
"""

import asyncio
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from tts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import Score, Trajectory
from tts.verifiers._sandbox import Limits, Sandbox


class Config(Parameters):
    """Options of execution; the limits are for each test."""

    seconds: float = Field(5.0, gt=0, le=600, description="seconds of wall time")
    memory_mb: int = Field(512, ge=64, description="memory of a process")
    disk_mb: int = Field(16, ge=1, description="all files together")
    processes: int = Field(16, ge=2, description="processes and threads at once")
    parallel: int | None = Field(None, ge=1, description="tests at once; the CPUs if none")
    unsafe: bool = Field(False, description="run without isolation where there is none")


class Execution:
    """Counts the tests that an attempt passes."""

    def __init__(self, config: Config) -> None:
        limits = Limits(
            seconds=config.seconds,
            memory_bytes=config.memory_mb * 2**20,
            disk_bytes=config.disk_mb * 2**20,
            processes=config.processes,
        )
        self._sandbox = Sandbox(limits, unsafe=config.unsafe)
        self._slots = asyncio.Semaphore(config.parallel or os.cpu_count() or 1)

    @property
    def spec(self) -> VerifierSpec:
        """The share of tests passed."""
        return VerifierSpec(steps=True, unit_interval=True)

    @property
    def protection(self) -> str:
        """What protects this machine from the code, for people."""
        return self._sandbox.protection

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Run every attempt's code."""
        tests = context.problem.metadata.get("tests")
        if problem := _problem_with(tests):
            error = f"problem {context.problem.id!r}: {problem}"
            return [Score(None, error=error) for _ in trajectories]
        return [await self._score(trajectory, tests or ()) for trajectory in trajectories]

    async def aclose(self) -> None:
        """Nothing runs between calls."""

    async def _score(self, trajectory: Trajectory, tests: Sequence[Any]) -> Score:
        if not trajectory.answer:
            return Score(None, error="the trajectory has no code")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._passes(trajectory.answer, test)) for test in tests]
        passed = tuple(float(task.result()) for task in tasks)
        return Score(sum(passed) / len(passed), steps=passed)

    async def _passes(self, code: str, test: str | Mapping[str, Any]) -> bool:
        async with self._slots:
            if isinstance(test, str):
                word = secrets.token_hex(16)
                outcome = await self._sandbox.run(f"{code}\n\n{test}\n\nprint()\nprint({word!r})\n")
                return outcome.exit_code == 0 and outcome.output.rstrip().endswith(word)
            outcome = await self._sandbox.run(code, text=str(test.get("input", "")))
            wanted = _trimmed(str(test["output"]))
            return outcome.exit_code == 0 and _trimmed(outcome.output) == wanted


def _problem_with(tests: Any) -> str:
    if not isinstance(tests, Sequence) or isinstance(tests, str) or not tests:
        return "its metadata has no list of tests"
    for test in tests:
        if not isinstance(test, str) and not (isinstance(test, Mapping) and "output" in test):
            return f"a test is code, or has `input` and `output`; got {test!r:.80}"
    return ""


def _trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def build(config: Config) -> Execution:
    """Return the verifier.

    Raises:
        VerifierError: Nothing here isolates untrusted code.
    """
    return Execution(config)
