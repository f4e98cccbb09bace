"""What is calibrated on no test problem can be compared with figures of the test."""

from collections.abc import Iterable, Sequence

from tts.errors import ProblemError
from tts.evals.test_sets import find_test_set
from tts.presets.load import Preset
from tts.types import Problem
from tts.types.statement import statement_key


def check_held_out(problems: Iterable[Problem]) -> None:
    """Refuse problems of published test sets, known by the hash of their statements.

    Raises:
        ProblemError: There is one; the message names it.
    """
    for problem in problems:
        if name := find_test_set(problem):
            raise ProblemError(
                f"{problem.id!r} is one of the test problems of {name}, on which nothing may be "
                "calibrated; leave it out, or give the problems of a training split"
            )


def check_apart(preset: Preset, problems: Sequence[Problem]) -> None:
    """Refuse to measure a policy on the problems that it was calibrated on.

    Raises:
        ProblemError: There are such problems; the message names one.
    """
    policy = getattr(preset.config, "policy", None)
    known = frozenset(getattr(policy, "problems", "").split())
    seen = [problem for problem in problems if known and statement_key(problem.statement) in known]
    if seen:
        raise ProblemError(
            f"{len(seen)} of {len(problems)} problems, such as {seen[0].id!r}, are among those "
            f"that the policy of {preset.name} was calibrated on; measure it on others"
        )
