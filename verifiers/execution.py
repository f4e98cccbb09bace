"""Runs an attempt's Python code against the problem's tests, in a sandbox.

`problem.metadata["tests"]` is a list. A text is code that fails by raising, such as
"assert solve(3) == 4", or HumanEval's `def check(candidate): ...` with a call of it. A mapping with
`input` and `output` runs the attempt as a program and compares what it prints, spaces at the ends
of lines apart. The score is the share of tests passed, with one value per test. What is run
is `tts.programs.to_program` of the attempt's code.

A test has two processes, one for the attempt and one for the test; plain assertions about one
attempt share theirs, one after the other, as far as none ends them. A test is run as it stands;
what it names of the attempt is called in the attempt's process, and arguments and results cross as
values. So results are compared by an interpreter that the attempt cannot reach, it never holds a
test, and only a test that runs to its end passes. A program's output is compared outside of both.

What this cannot prevent: an attempt that answers the very inputs of a test; a test that compares
two results of the attempt with each other (`decode(encode(x)) == x`), hands it the expected value
as an argument, compares with an argument that the attempt may change, or relies on a helper that
the attempt defines too. Of an object of the attempt's own class a test sees attributes, methods,
items and operators between two such objects; an operator between such an object and a value of the
test's is refused, and equality between them is false. A test cannot hand an object of a class of
its own to the attempt, derive a class from one of the attempt's, or await its coroutines; such a
test fails and says so, since running it in the attempt's process would let the attempt decide.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from tts.errors import VerifierError
from tts.parts.parameters import Parameters
from tts.programs import to_program
from tts.protocols import Context, VerifierSpec
from tts.types import Problem, Score, Trajectory
from tts.verifiers._sandbox.pool import Pool
from tts.verifiers._sandbox.sandbox import Assertions, Evaluation, Limits, Outcome, Program, Sandbox

_MAX_SHOWN_CHARS = 2_000  # of what a failed test says


class Config(Parameters):
    """Options of execution; the limits are for each test, all its processes together."""

    seconds: float = Field(
        5.0, gt=0, le=600, description="most wall time, and most CPU time, in seconds"
    )
    memory_mb: int = Field(512, ge=64, description="most memory of all processes together, in MiB")
    disk_mb: int = Field(16, ge=1, description="most that all files hold together, in MiB")
    processes: int = Field(16, ge=2, description="most processes and threads at once")
    sockets: bool = Field(
        False,
        description="let code open UNIX and internet sockets; in namespaces they reach nobody",
    )
    parallel: int | None = Field(
        None, ge=1, description="attempts that are run at once; as many as CPUs if not given"
    )
    unsafe: bool = Field(False, description="run without isolation where there is none")


class Execution:
    """Counts the tests that an attempt passes."""

    def __init__(self, config: Config) -> None:
        limits = Limits(
            seconds=config.seconds,
            cpu_seconds=config.seconds,
            memory_bytes=config.memory_mb * 2**20,
            disk_bytes=config.disk_mb * 2**20,
            processes=config.processes,
            sockets=config.sockets,
        )
        self._sandbox = Sandbox(limits, unsafe=config.unsafe)
        self._pool = Pool(self._sandbox, config.parallel or os.cpu_count() or 1)

    @property
    def spec(self) -> VerifierSpec:
        """The share of tests passed."""
        return VerifierSpec(steps=True, unit_interval=True, by_text=True)

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
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.run_tests(context.problem, t.answer, tests or ()))
                for t in trajectories
            ]
        return [task.result() for task in tasks]

    async def aclose(self) -> None:
        """End the sandboxes that wait for code."""
        await self._pool.aclose()

    async def run_tests(
        self, problem: Problem, code: str | None, tests: Sequence[str | Mapping[str, Any]]
    ) -> Score:
        """Run one attempt's code against tests that the caller chooses.

        Args:
            problem: What the code is an attempt at; it may give the code's beginning.
            code: None where the attempt has none.
            tests: As in `problem.metadata["tests"]`.

        Returns:
            The share of tests passed, with one value per test, and a report of those that failed.
        """
        if not code:
            return Score(None, error="the trajectory has no code")
        try:
            outcomes = await self._pool.run(
                to_program(problem, code), [_to_test(test) for test in tests]
            )
        except VerifierError as error:
            return Score(None, error=str(error))
        passed = tuple(
            float(_passes(test, outcome)) for test, outcome in zip(tests, outcomes, strict=True)
        )
        report = "\n\n".join(
            _report(test, outcome)
            for test, outcome, value in zip(tests, outcomes, passed, strict=True)
            if not value
        )
        return Score(sum(passed) / len(passed), steps=passed, report=report)

    async def passes(
        self,
        problem: Problem,
        code: str,
        tests: Sequence[str | Mapping[str, Any]],
        *,
        give_up: int | None = None,
    ) -> tuple[bool | None, ...]:
        """Return which tests code passes; None for those that it was not run on.

        Args:
            problem: What the code is an attempt at.
            code: It.
            tests: As in `problem.metadata["tests"]`.
            give_up: Tests in a row on which the code may run out of time; it is then run on no
                further one. None runs it on all.

        Raises:
            VerifierError: The sandbox cannot start.
        """
        asked = [_to_test(test) for test in tests]
        outcomes = await self._pool.run(to_program(problem, code), asked, give_up=give_up)
        return tuple(
            _passes(test, outcome) if outcome.is_run else None
            for test, outcome in zip(tests, outcomes, strict=True)
        )

    async def run_test(self, problem: Problem, code: str, test: str) -> Outcome:
        """Run one attempt's code against one test, as code, in processes of their own.

        Raises:
            VerifierError: The sandbox cannot start.
        """
        (outcome,) = await self._pool.run(to_program(problem, code), [Assertions(test)])
        return outcome

    async def evaluate(self, code: str, evaluator: str, function: str) -> Outcome:
        """Call a function of an evaluator with code as one object, out of that code's reach.

        Args:
            code: Python source, run as it stands.
            evaluator: Python source, whose names are its own.
            function: Its name.

        Returns:
            How it went; `output` is what the function returned, as JSON.

        Raises:
            VerifierError: The sandbox cannot start.
        """
        (outcome,) = await self._pool.run(code, [Evaluation(evaluator, function)])
        return outcome

    async def run_program(self, code: str) -> tuple[str | None, str]:
        """Run a program without input.

        Returns:
            What it printed, or None and why it did not run to its end.
        """
        try:
            (outcome,) = await self._pool.run(code, [Program()])
        except VerifierError as error:
            return None, str(error)
        if outcome.exit_code != 0:
            return None, _said(outcome)
        return outcome.output, ""


def _problem_with(tests: Any) -> str:
    if not isinstance(tests, Sequence) or isinstance(tests, str) or not tests:
        return "its metadata has no list of tests"
    for test in tests:
        if not isinstance(test, str) and not (isinstance(test, Mapping) and "output" in test):
            return f"a test is code, or has `input` and `output`; got {test!r:.80}"
    return ""


def _to_test(test: str | Mapping[str, Any]) -> Assertions | Program:
    return Assertions(test) if isinstance(test, str) else Program(str(test.get("input", "")))


def _passes(test: str | Mapping[str, Any], outcome: Outcome) -> bool:
    if outcome.exit_code != 0:
        return False
    return isinstance(test, str) or _trimmed(outcome.output) == _trimmed(str(test["output"]))


def _report(test: str | Mapping[str, Any], outcome: Outcome) -> str:
    """Say which test failed and how, for whoever mends the code."""
    if isinstance(test, str):
        return f"This test failed:\n{test.strip()}\n{_said(outcome)}"
    wanted, given = str(test["output"]).strip(), str(test.get("input", "")).strip()
    got = outcome.output.strip()[-_MAX_SHOWN_CHARS:] if outcome.exit_code == 0 else _said(outcome)
    return f"With the input:\n{given}\nit should print:\n{wanted}\nbut the outcome was:\n{got}"


def _said(outcome: Outcome) -> str:
    said = "\n".join(part for part in (outcome.error.strip(), outcome.stderr.strip()) if part)
    return said[-_MAX_SHOWN_CHARS:]


def _trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def build(config: Config) -> Execution:
    """Return the verifier.

    Raises:
        VerifierError: Nothing here isolates untrusted code.
    """
    return Execution(config)
