"""How long code takes on a test, as well as that can be told.

Sources: ENAMEL (Qiu et al. 2024, arXiv:2406.06647): each time is the Hodges-Lehmann estimate of
repeated ones; COFFE (Peng et al. 2025, arXiv:2502.02827): time of the CPU, on which other processes
have little influence. Here it is what the kernel counts for the process of the code, less what that
process takes on the same test where the code does nothing: its start and the reading of arguments.
"""

import asyncio
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from tts.types import Problem
from tts.verifiers.execution import Execution

RESOLUTION = 1e-4  # seconds; shorter times cannot be told apart


class Timing(NamedTuple):
    """How long code took on one test.

    Attributes:
        seconds: CPU time, at least `RESOLUTION`; None where the test did not pass.
        is_wrong: The test failed, and was not ended by a limit.
    """

    seconds: float | None
    is_wrong: bool = False


class Stopwatch:
    """Times tests, one after the other.

    Args:
        execution: Runs them; its limits hold.
        repeats: How often each is run.
    """

    def __init__(self, execution: Execution, repeats: int) -> None:
        self._execution, self._repeats = execution, repeats
        self._idle: dict[tuple[str, str], float] = {}
        # Times of processes that run side by side would be each other's.
        self._alone = asyncio.Lock()

    async def time(
        self, problem: Problem, code: str, test: str, *, enough: float | None = None
    ) -> Timing:
        """Time code on a test.

        Args:
            problem: What the code is an attempt at; it names the function that is asked for.
            code: The attempt's.
            test: As of the verifier `execution`, as code.
            enough: Seconds beyond which it need not be known how many more.

        Raises:
            VerifierError: The sandbox cannot start.
        """
        async with self._alone:
            idle = await self._idle_seconds(problem, test)
            times: list[float] = []
            for _ in range(self._repeats):
                outcome = await self._execution.run_test(problem, code, test)
                if outcome.exit_code != 0:
                    return Timing(None, is_wrong=outcome.exit_code is not None)
                times.append(outcome.cpu_seconds - idle)
                if enough is not None and times[-1] > enough:
                    break
            return Timing(max(RESOLUTION, hodges_lehmann(times)))

    async def _idle_seconds(self, problem: Problem, test: str) -> float:
        """Return what the process takes where the code does nothing."""
        key = problem.id, test
        if key not in self._idle:
            name = problem.metadata.get("entry_point") or "nothing"
            code = f"def {name}(*_, **__):\n    return None\n"
            runs = [
                await self._execution.run_test(problem, code, test) for _ in range(self._repeats)
            ]
            self._idle[key] = hodges_lehmann([run.cpu_seconds for run in runs])
        return self._idle[key]


def hodges_lehmann(values: Sequence[float]) -> float:
    """Return the median of the means of all pairs, each value with itself included.

    Hodges and Lehmann 1963; as ENAMEL has it.
    """
    return median((a + b) / 2 for i, a in enumerate(values) for b in values[i:])
