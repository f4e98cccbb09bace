"""A test written to tell the best attempts apart: the selection of CodeMonkeys.

Source: Ehrlich et al. 2025, "CodeMonkeys: Scaling Test-Time Compute for Software Engineering",
arXiv:2501.14723. Of the attempts with the most votes (the score `by`), ties to the shorter and
equal programs once, the first three are shown to the model. It writes a test on which they differ,
sees what each of them does with it, and writes another or names the best, at most eight times.
Departures: a test is an assertion on the function, where the paper has a script on a repository;
there is no unchanged code to run it on; an answer that is neither a test nor a choice, or both, is
asked for again in view of that, and counts.

The attempt that is named scores 1, the others 0; without a choice the one with the most votes does.
"""

import ast
import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from pydantic import Field

from tts import prompts
from tts.answers.groups import extract_answer
from tts.errors import ContextError
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import GenerationRequest, Score, Trajectory
from tts.verifiers._base import EngineName
from tts.verifiers._sandbox.plain import UNREADABLE, parse
from tts.verifiers.written_tests import executor_of

_MAX_SHOWN_CHARS = 8_192  # of what a test says; as in the source


class Config(Parameters):
    """Options of the selection."""

    by: str = Field("", description="score that says who is shown; the shortest are if empty")
    keep: int = Field(3, ge=2, le=16, description="attempts that are shown")
    attempts: int = Field(8, ge=1, le=64, description="most answers of the model")
    temperature: float = Field(0.0, ge=0, description="temperature of the model's answers")
    execution: str = Field("execution", description="verifier that runs code, with its options")
    engine: EngineName = ""


class TellApart:
    """Lets a model choose among the best attempts by tests of its own."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def spec(self) -> VerifierSpec:
        """Sees all attempts at once; its values rank, they are no probabilities."""
        config = self._config
        return VerifierSpec(
            needs=frozenset({"own_prompts"}),
            compares=True,
            verifiers=(config.execution,),
            engine=config.engine,
        )

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Ask until the model names one; attempts without an answer or votes have an error."""
        best = finalists(trajectories, self._config.by, self._config.keep)
        if not best:
            missing = Score(None, error="no attempt has an answer and the score that chooses")
            return [missing for _ in trajectories]
        chosen = await self._choose(context, best) if len(best) > 1 else 0
        context.emit("choice", label="tell_apart", readable=chosen is not None)
        winner = best[chosen or 0]
        return [
            Score(float(t.id == winner.id))
            if t.answer is not None
            else Score(None, error="the attempt has no answer")
            for t in trajectories
        ]

    async def aclose(self) -> None:
        """Owns nothing."""

    async def _choose(self, context: Context, best: Sequence[Trajectory]) -> int | None:
        """Return the position of the attempt that the model names; None if it names none."""
        asked = context.asking(self._config.engine)
        shown = [f"```python\n{(t.answer or '').strip()}\n```" for t in best]
        rounds: list[str] = []
        for number in range(self._config.attempts):
            prompt = prompts.tell_apart(context.problem, shown, rounds)
            sampling = replace(
                context.sampling, logprobs=None, temperature=self._config.temperature
            )
            seed = context.seed(f"tell_apart\x1f{number}")
            request = GenerationRequest(prompt, sampling, seed=seed)
            try:
                async with aclosing(asked.generate(request)) as stream:
                    said = [completion.text async for completion in stream]
            except ContextError as error:  # the rounds have outgrown it
                context.warn(str(error))
                return None
            if not said:  # the budget leaves nothing
                return None
            test, named = extract_answer(said[0], "code"), prompts.parse_best(said[0])
            if named is not None and test is None:
                return named - 1 if 1 <= named <= len(best) else None
            is_test = test is not None and named is None and _can_be_run(test)
            rounds.append(
                await self._try(context, best, test)
                if is_test and test is not None
                else prompts.ONE_OF_TWO
            )
        return None

    async def _try(self, context: Context, best: Sequence[Trajectory], test: str) -> str:
        """Return what a test says of each attempt, in words."""
        executor = executor_of(context, self._config.execution)
        lines = [f"Test:\n```python\n{test.strip()}\n```"]
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(executor.run_tests(context.problem, attempt.answer, [test]))
                for attempt in best
            ]
        for number, score in enumerate((task.result() for task in running), start=1):
            said = score.error or score.report or "passes"
            lines.append(f"Attempt {number}: {said[-_MAX_SHOWN_CHARS:]}")
        return "\n".join(lines)


def finalists(trajectories: Sequence[Trajectory], by: str, keep: int) -> list[Trajectory]:
    """Return the attempts with most votes, ties to the shorter, equal programs once."""
    votes = {t.id: t.scores[by].value if by in t.scores else None for t in trajectories if by}
    voted = [
        (votes.get(t.id) or 0.0, t)
        for t in trajectories
        if t.answer is not None and (not by or votes[t.id] is not None)
    ]
    voted.sort(key=lambda pair: (-pair[0], len(pair[1].answer or ""), pair[1].origin.index))
    first_by_code: dict[str, Trajectory] = {}
    for _, trajectory in voted:
        first_by_code.setdefault((trajectory.answer or "").strip(), trajectory)
    return list(first_by_code.values())[:keep]


def _can_be_run(test: str) -> bool:
    try:
        return any(isinstance(node, ast.Assert) for node in ast.walk(parse(test)))
    except UNREADABLE:
        return False


def build(config: Config) -> TellApart:
    """Return the verifier; it asks engines of the run, and its verifier that runs code."""
    return TellApart(config)
