"""What is calibrated on no test problem can be compared with figures of the test."""

from collections.abc import Iterable

from tts.errors import ProblemError
from tts.evals.test_sets import find_test_set
from tts.types import Problem


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
