"""Tests that the model writes: every attempt is run against all of them, and agreement decides.

`agreement` is CodeT (Chen et al. 2022, "CodeT: Code Generation with Generated Tests",
arXiv:2207.10397): attempts that pass the same tests form a set, and an attempt scores the size of
its set times the number of tests passed. Of each answer the first five tests are kept, as there.
Departures: an instructed model is asked for a block of assertions, of which the first is begun,
where the paper has a base model go on after "# check the correctness of f"; equal tests count once;
the tests are drawn at the temperature of the run (0.8 there, and 100 answers).

`votes` is the share of the tests passed, in the order of their number, as in CodeMonkeys (Ehrlich
et al. 2025, arXiv:2501.14723) and R2E-Gym (Jain et al. 2025, arXiv:2504.07164). With `regression`
an attempt that passes fewer of the problem's own tests than the best one scores 0, as there.

The score is the value above and `steps` says which tests an attempt passed, in the order of the
trace's `tests`; `not_run` says which ones it did not meet. A test is an assertion that can be
parsed and, where the problem names a function, calls it. An attempt that runs out of time on
`give_up` tests in a row is run on no more: it fails the others, a warning says so, and what it was
not run on says nothing of a test. Attempts without an answer have an error; where no test can be
read all others score 0, so that a selection takes the first. The tests are generated through the
run, within its budget, and run by its verifier `execution`, with its limits.
"""

import ast
import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from pydantic import Field

from tts import prompts
from tts.errors import VerifierError, innermost
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import GenerationRequest, Problem, Score, Trajectory
from tts.verifiers._agreement import Row, agreement, splitting, votes
from tts.verifiers._base import EngineName
from tts.verifiers._sandbox.plain import UNREADABLE, parse
from tts.verifiers.execution import Execution

_FENCE = "```"


class Config(Parameters):
    """Options of model-written tests."""

    n: int = Field(4, ge=1, description="answers with tests that are drawn")
    keep: int = Field(5, ge=1, description="tests kept of each answer, the first ones")
    by: Literal["agreement", "votes"] = Field(
        "agreement", description="score: by attempts that pass the same tests, or tests passed"
    )
    regression: bool = Field(
        False, description="attempts that pass fewer of the problem's own tests than others score 0"
    )
    split: bool = Field(False, description="count only tests that some attempts fail and some pass")
    give_up: int = Field(
        3,
        ge=1,
        description="tests in a row on which an attempt may run out of time; it fails the others",
    )
    max_tokens: int | None = Field(
        300, ge=1, description="most tokens of an answer; the sampling profile's if none"
    )
    execution: str = Field("execution", description="verifier that runs code, with its options")
    engine: EngineName = ""


class WrittenTests:
    """Scores attempts by tests that a model writes."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def spec(self) -> VerifierSpec:
        """Sees all attempts at once; agreement ranks and is no probability."""
        config = self._config
        return VerifierSpec(
            needs=frozenset({"own_prompts"}),
            steps=True,
            compares=True,
            unit_interval=config.by == "votes",
            summable=True,
            verifiers=(config.execution,),
            engine=config.engine,
        )

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Write tests, run all attempts against all of them, and compare."""
        codes = list(dict.fromkeys(t.answer for t in trajectories if t.answer is not None))
        tests = await self._write(context.asking(self._config.engine)) if codes else []
        row_by_code = await self._run(context, codes, tests)
        _tell_not_run(context, list(row_by_code.values()), self._config.give_up)
        kept = [t.answer for t in trajectories if t.answer is not None]
        rows = [row_by_code[code] for code in kept]
        split = splitting(rows)
        context.emit("tests", tests=tests, splitting=len(split))
        counted = [tuple(row[j] for j in split) for row in rows] if self._config.split else rows
        rule: Callable[[Sequence[Row]], Sequence[float]]
        rule = agreement if self._config.by == "agreement" else votes
        values = rule(counted)
        value_by_code = dict(zip(kept, values, strict=True))
        fit = await self._unbroken(context, codes) if self._config.regression else set(codes)
        return [
            Score(None, error="the attempt has no answer")
            if t.answer is None
            else _to_score(value_by_code[t.answer] if t.answer in fit else 0, row_by_code[t.answer])
            for t in trajectories
        ]

    async def aclose(self) -> None:
        """Owns nothing."""

    async def _write(self, context: Context) -> list[str]:
        config, name = self._config, function_of(context.problem)
        prompt = prompts.write_tests(context.problem, config.keep, name)
        sampling = context.sampling
        sampling = replace(
            sampling,
            logprobs=None,
            max_tokens=config.max_tokens or sampling.max_tokens,
            stop=(*sampling.stop, _FENCE),
        )
        seed = context.seed("tests")
        request = GenerationRequest(prompt, sampling, n=config.n, seed=seed)
        async with aclosing(context.generate(request)) as stream:
            answers = sorted([each async for each in stream], key=lambda each: each.index)
        begun = prompt.prefill.removeprefix(f"{_FENCE}python\n")
        found = [read_tests(begun + each.text, name)[: config.keep] for each in answers]
        return list(dict.fromkeys(test for tests in found for test in tests))

    async def _run(
        self, context: Context, codes: Sequence[str], tests: Sequence[str]
    ) -> dict[str, Row]:
        """Return which tests each code passes."""
        if not tests:
            return dict.fromkeys(codes, ())
        rows = await self._rows(context, codes, tests, give_up=self._config.give_up)
        return dict(zip(codes, rows, strict=True))

    async def _unbroken(self, context: Context, codes: Sequence[str]) -> set[str]:
        """Return the codes that pass as many of the problem's own tests as any."""
        own = context.problem.metadata.get("tests") or ()
        if not own:
            return set(codes)
        passed = [row.count(True) for row in await self._rows(context, codes, own)]
        return {code for code, n in zip(codes, passed, strict=True) if n == max(passed)}

    async def _rows(
        self,
        context: Context,
        codes: Sequence[str],
        tests: Sequence[str],
        *,
        give_up: int | None = None,
    ) -> list[Row]:
        executor, problem = executor_of(context, self._config.execution), context.problem
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(executor.passes(problem, code, tests, give_up=give_up))
                    for code in codes
                ]
        except ExceptionGroup as errors:
            raise innermost(errors) from None
        return [task.result() for task in tasks]


def _to_score(value: float, row: Row) -> Score:
    return Score(
        float(value),
        steps=tuple(float(passed is True) for passed in row),
        not_run=tuple(place for place, passed in enumerate(row) if passed is None),
    )


def _tell_not_run(context: Context, rows: Sequence[Row], give_up: int) -> None:
    left = [row.count(None) for row in rows if None in row]
    if left:
        context.warn(
            f"{len(left)} of {len(rows)} programs ran out of time on {give_up} tests in a row; "
            f"they were not run on {sum(left)} others, which count as failed"
        )


def executor_of(context: Context, name: str) -> Execution:
    """Return the run's verifier that runs code.

    Raises:
        VerifierError: The verifier of that name runs none.
    """
    verifier = context.verifier(name)
    if not isinstance(verifier, Execution):
        raise VerifierError(f"{name!r} runs no code; name execution, with its options")
    return verifier


def function_of(problem: Problem) -> str:
    """Return the function that a problem asks for; empty where it does not say."""
    name = problem.metadata.get("entry_point")
    return name if isinstance(name, str) else ""


def read_tests(text: str, function: str = "") -> list[str]:
    """Return the assertions of a text, each a line that can be parsed, in order.

    Args:
        text: Code, up to a fence if there is one.
        function: That each has to call; any if empty.
    """
    found = []
    for line in text.partition(_FENCE)[0].splitlines():
        test = line.strip()
        if test.startswith("assert") and f"{function}(" in test and _is_test(test):
            found.append(test)
    return found


def _is_test(line: str) -> bool:
    try:
        (statement,) = parse(line).body
    except UNREADABLE:
        return False
    return isinstance(statement, ast.Assert)


def build(config: Config) -> WrittenTests:
    """Return the verifier; it asks engines of the run, and its verifier that runs code."""
    return WrittenTests(config)
