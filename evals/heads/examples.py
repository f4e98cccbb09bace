"""What a head learns from: hidden states at places of sampled solutions, and what came of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError
from tts.heads.head import Array, to_features
from tts.types import States

LEAST_PROBLEMS = 10
LEAST_OF_EACH = 20  # right and wrong samples


@dataclass(frozen=True, slots=True)
class Solution:
    """One sampled solution.

    Attributes:
        problem: Index of its problem.
        answer_class: Equal answers of one problem have the same; None without an answer.
        is_right: By the benchmark's grader.
        states: At its places, the last of which is its end.
    """

    problem: int
    answer_class: int | None
    is_right: bool
    states: States


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Solutions as arrays: N places of S solutions of some problems.

    Attributes:
        states: [N, layers, D] fp16.
        places: [N], of the tokens.
        solution: [N], which solution a place is of; those of one follow each other.
        problem: [S], of each solution.
        answer_class: [S], -1 without an answer.
        is_right: [S].
        label: [S], what is learnt: right, or agreed upon.
        layers: As the states have them.
    """

    states: NDArray[np.float16]
    places: NDArray[np.int64]
    solution: NDArray[np.int64]
    problem: NDArray[np.int64]
    answer_class: NDArray[np.int64]
    is_right: NDArray[np.bool_]
    label: NDArray[np.bool_]
    layers: tuple[int, ...]

    @property
    def ends(self) -> NDArray[np.int64]:
        """[S], index of each solution's last place."""
        return np.flatnonzero(np.diff(self.solution, append=-1) != 0)

    def features(self, layers: Sequence[int]) -> Array:
        """Return what a head on these layers reads, [N, F]."""
        return to_features(self.states[:, [self.layers.index(one) for one in layers]], self.places)

    def of_problems(self, problems: NDArray[np.int64]) -> "Examples":
        """Return the examples of these problems alone."""
        kept = np.isin(self.problem, problems)
        rows = kept[self.solution]
        renumbered = np.cumsum(kept) - 1
        return Examples(
            self.states[rows],
            self.places[rows],
            renumbered[self.solution[rows]],
            self.problem[kept],
            self.answer_class[kept],
            self.is_right[kept],
            self.label[kept],
            self.layers,
        )


def to_examples(solutions: Sequence[Solution], *, by_agreement: bool) -> Examples:
    """Return solutions as arrays.

    Args:
        solutions: With states at the same layers; those without any place are left out.
        by_agreement: Learn which solutions give the answer that most of their problem's give,
            instead of which are right. Of equally frequent answers, none is agreed upon.

    Raises:
        InputError: They are too few, or nearly all right or wrong, or a state is not finite.
    """
    solutions = [one for one in solutions if one.states.places]
    if not solutions:
        raise InputError("no solution to learn from")
    sizes = [len(one.states.places) for one in solutions]
    problem = np.array([one.problem for one in solutions])
    is_right = np.array([one.is_right for one in solutions])
    classes = np.array([-1 if (c := one.answer_class) is None else c for one in solutions])
    states = np.concatenate([one.states.values for one in solutions])
    if not np.isfinite(states).all():
        raise InputError("some hidden states are not finite: try dtype=float32")
    examples = Examples(
        states,
        np.concatenate([one.states.places for one in solutions]).astype(np.int64),
        np.repeat(np.arange(len(solutions)), sizes),
        problem,
        classes,
        is_right,
        _agreed(problem, classes) if by_agreement else is_right,
        solutions[0].states.layers,
    )
    check_labels(examples)
    return examples


def check_labels(examples: Examples) -> None:
    """Refuse examples of which nothing can be learnt.

    Raises:
        InputError: They are too few, or too one-sided.
    """
    problems, right = len(np.unique(examples.problem)), int(examples.label.sum())
    wrong = len(examples.label) - right
    if problems < LEAST_PROBLEMS or min(right, wrong) < LEAST_OF_EACH:
        raise InputError(
            f"{problems} problems with {right} right and {wrong} wrong solutions are too few: a "
            f"head needs {LEAST_PROBLEMS} problems and {LEAST_OF_EACH} solutions of each kind; "
            "take more problems (--limit), more samples (--samples), or easier or harder ones"
        )


def _agreed(problem: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.bool_]:
    agreed = np.zeros(len(problem), bool)
    for one in np.unique(problem):
        of_it = problem == one
        found, counts = np.unique(classes[of_it & (classes >= 0)], return_counts=True)
        if len(found) and (counts == counts.max()).sum() == 1:
            agreed |= of_it & (classes == found[counts.argmax()])
    return agreed
