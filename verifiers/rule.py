"""Exact checks of the generated tasks: is the trajectory right, without a reference answer.

`countdown` and `sudoku` can be checked from the statement alone, as a user could. For `chain` the
check is an oracle that knows the generator: an upper bound for what a verifier can do, no method.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

from tts.errors import VerifierError
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.tasks import chain, countdown, sudoku
from tts.tasks.splits import split_steps
from tts.types import Problem, Score, Trajectory

_TASKS: Mapping[str, ModuleType] = {"chain": chain, "countdown": countdown, "sudoku": sudoku}


class Config(Parameters):
    """It has no options."""


class RuleVerifier:
    """1 for a trajectory that is right so far, 0 for one that is not."""

    @property
    def spec(self) -> VerifierSpec:
        """Step values in [0, 1]; needs nothing of the engine."""
        return VerifierSpec(steps=True, unit_interval=True, by_text=True)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Check steps and, where there is one, the final answer.

        Raises:
            VerifierError: The problem belongs to no task with exact rules.
        """
        return [score_by_rule(context.problem, trajectory) for trajectory in trajectories]

    async def aclose(self) -> None:
        """Owns nothing."""


def score_by_rule(problem: Problem, trajectory: Trajectory) -> Score:
    """Return 1 or 0, with one value per step."""
    task = _TASKS.get(str(problem.metadata.get("task", "")))
    if task is None:
        raise VerifierError(
            f"problem {problem.id!r} has no exact rules; the rule verifier serves "
            f"{', '.join(_TASKS)}"
        )
    labels: list[bool] = task.label_steps(problem, split_steps(trajectory.text))
    check: Callable[[Problem, str], bool] = task.check_answer
    is_right = all(labels)
    if trajectory.finish_reason is not None:
        is_right = trajectory.answer is not None and check(problem, trajectory.answer)
    return Score(value=float(is_right), steps=tuple(map(float, labels)))


def build(config: Config) -> RuleVerifier:
    """Return the verifier."""
    return RuleVerifier()
