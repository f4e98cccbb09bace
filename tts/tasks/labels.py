"""Exact labels for problems of the two tasks that the bundled reasoner knows."""

from collections.abc import Sequence

from tts.tasks import chain, countdown
from tts.tasks.splits import find_boxed
from tts.types import Problem


def is_right(problem: Problem, text: str) -> bool:
    """Say whether a completion boxes a right answer."""
    module = chain if problem.metadata["task"] == "chain" else countdown
    boxed = find_boxed(text)
    return boxed is not None and module.check_answer(problem, boxed)


def label_steps(problem: Problem, steps: Sequence[str]) -> list[bool]:
    """Say of each step whether it and all before it are right, and the answer still in reach."""
    if problem.metadata["task"] == "chain":
        return chain.label_steps(problem, steps)
    return countdown.label_steps(problem, steps)
