"""What poses problems and grades answers."""

from collections.abc import Iterator
from typing import Protocol

from tts.types import Answer, Grade, Problem


class Benchmark(Protocol):
    """A data set with its own idea of a right answer."""

    def problems(self, split: str) -> Iterator[Problem]:
        """Yield the problems of a split, always in the same order.

        Raises:
            ProblemError: The split is unknown, or the data cannot be loaded.
        """
        ...

    def grade(self, problem: Problem, answer: Answer) -> Grade:
        """Compare an answer with the problem's reference."""
        ...
