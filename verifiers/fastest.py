"""The fastest of those that pass: time decides among attempts that pass most of the tests.

An attempt that passes fewer of the problem's own `tests` than the best one scores 0; the others
score the shortest CPU time over their own, so the fastest has 1. Times are those of
`tts.verifiers._timing` on `timed_tests` of the problem's metadata, a list of tests as code whose
inputs cost something, else on its `tests`: what takes less than 0.1 ms cannot be told apart, and
then the earliest attempt is as fast as any. (Qiu et al. 2024, "How Efficient is LLM-Generated
Code?", arXiv:2406.06647, measure; choosing by it is ours.)
"""

from collections.abc import Sequence

from pydantic import Field

from tts.errors import VerifierError
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import Score, Trajectory
from tts.verifiers._timing import Stopwatch
from tts.verifiers.execution import Execution


class Config(Parameters):
    """Options of the choice by time."""

    repeats: int = Field(6, ge=1, description="times that a test is run; ENAMEL's default")
    execution: str = Field("execution", description="verifier that runs code, with its options")


class Fastest:
    """Scores attempts by tests passed, and those that pass most by time."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def spec(self) -> VerifierSpec:
        """Sees all attempts at once."""
        return VerifierSpec(compares=True, unit_interval=True, verifiers=(self._config.execution,))

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Run all attempts against the tests, and time the best."""
        execution = context.verifier(self._config.execution)
        if not isinstance(execution, Execution):
            raise VerifierError(f"{self._config.execution!r} runs no code; name execution")
        passed = await execution.score(context, trajectories)
        best = max((score.value for score in passed if score.value is not None), default=None)
        seconds: dict[str, float] = {}
        stopwatch = Stopwatch(execution, self._config.repeats)
        for trajectory, score in zip(trajectories, passed, strict=True):
            code = trajectory.answer
            if code and score.value is not None and score.value == best and code not in seconds:
                seconds[code] = await self._seconds(context, stopwatch, code)
        shortest = min(seconds.values(), default=0.0)
        return [
            score
            if score.value is None
            else Score(
                shortest / seconds[t.answer or ""] if score.value == best else 0.0,
                report=score.report,
            )
            for t, score in zip(trajectories, passed, strict=True)
        ]

    async def aclose(self) -> None:
        """Owns nothing."""

    async def _seconds(self, context: Context, stopwatch: Stopwatch, code: str) -> float:
        """Return the time of all timed tests; one that does not pass counts with its limit."""
        problem = context.problem
        tests = problem.metadata.get("timed_tests") or problem.metadata["tests"]
        total = 0.0
        for test in tests:
            if isinstance(test, str):
                timing = await stopwatch.time(problem, code, test)
                total += _SLOW if timing.seconds is None else timing.seconds
        return total or _SLOW


_SLOW = 1e3  # seconds of a test that does not pass, longer than any limit


def build(config: Config) -> Fastest:
    """Return the verifier."""
    return Fastest(config)
