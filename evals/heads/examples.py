"""What a head learns from: hidden states at places of sampled solutions, and what came of each."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError
from tts.evals.score_figures import ScoredSamples
from tts.heads.head import Array, to_features
from tts.types import States

LEAST_PROBLEMS = 10
LEAST_OF_EACH = 20  # right and wrong samples
HELD_OUT = 0.25  # of the problems
_REMEDY = "take more problems (--limit), more samples (--samples), or easier or harder ones"


@dataclass(frozen=True, slots=True)
class Solution:
    """One sampled solution.

    Attributes:
        problem: Index of its problem.
        answer_class: Equal answers of one problem have the same; None without an answer.
        is_right: By the benchmark's grader.
        label: What is learnt: that it is right, or passes for it.
        states: At its places, the last of which is its end.
        scores: Of other verifiers, by name.
    """

    problem: int
    answer_class: int | None
    is_right: bool
    label: bool
    states: States
    scores: Mapping[str, float] = field(default_factory=dict)


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
        label: [S], what is learnt.
        layers: As the states have them.
        scores: [S] each, of other verifiers, by name; NaN where one gave none.
    """

    states: NDArray[np.float16]
    places: NDArray[np.int64]
    solution: NDArray[np.int64]
    problem: NDArray[np.int64]
    answer_class: NDArray[np.int64]
    is_right: NDArray[np.bool_]
    label: NDArray[np.bool_]
    layers: tuple[int, ...]
    scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def ends(self) -> NDArray[np.int64]:
        """[S], index of each solution's last place."""
        return np.flatnonzero(np.diff(self.solution, append=-1) != 0)

    @property
    def samples(self) -> ScoredSamples:
        """The solutions without their states."""
        tokens = (self.places[self.ends] + 1).astype(np.float64)
        return ScoredSamples(self.problem, self.answer_class, self.is_right, tokens)

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
            {name: scores[kept] for name, scores in self.scores.items()},
        )


def to_examples(solutions: Sequence[Solution]) -> Examples:
    """Return solutions as arrays.

    Args:
        solutions: With states at the same layers; those without any place are left out.

    Raises:
        InputError: They are too few, or nearly all right or wrong, or a state is not finite.
    """
    solutions = [one for one in solutions if one.states.places]
    if not solutions:
        raise InputError("no solution to learn from")
    states = np.concatenate([one.states.values for one in solutions])
    if not np.isfinite(states).all():
        raise InputError("some hidden states are not finite: try dtype=float32")
    examples = Examples(
        states,
        np.concatenate([one.states.places for one in solutions]).astype(np.int64),
        np.repeat(np.arange(len(solutions)), [len(one.states.places) for one in solutions]),
        np.array([one.problem for one in solutions]),
        np.array([-1 if (c := one.answer_class) is None else c for one in solutions]),
        np.array([one.is_right for one in solutions]),
        np.array([one.label for one in solutions]),
        solutions[0].states.layers,
        {
            name: np.array([one.scores.get(name, np.nan) for one in solutions])
            for name in sorted({name for one in solutions for name in one.scores})
        },
    )
    check_labels(examples.problem.tolist(), examples.label.tolist())
    return examples


def check_size(problems: int, samples: int) -> None:
    """Refuse, before anything is sampled, what cannot be enough.

    Args:
        problems: Their number.
        samples: Of all problems together.

    Raises:
        InputError: They are too few.
    """
    learnt = problems - num_held_out(problems)
    if learnt < LEAST_PROBLEMS or samples * learnt < 2 * LEAST_OF_EACH * problems:
        raise InputError(
            f"{problems} problems with {samples} solutions are too few: a quarter of the problems "
            f"is held out, and the rest must be {LEAST_PROBLEMS} problems with {LEAST_OF_EACH} "
            f"right and {LEAST_OF_EACH} wrong solutions at least; {_REMEDY}"
        )


def check_labels(problems: Sequence[Hashable], labels: Sequence[bool]) -> None:
    """Refuse solutions of which nothing can be learnt.

    Args:
        problems: Of each solution.
        labels: Of each solution.

    Raises:
        InputError: They are too few, or too one-sided.
    """
    number, right = len(set(problems)), sum(labels)
    wrong = len(labels) - right
    if number < LEAST_PROBLEMS or min(right, wrong) < LEAST_OF_EACH:
        raise InputError(
            f"{number} problems with {right} right and {wrong} wrong solutions are too few: a "
            f"head needs {LEAST_PROBLEMS} problems and {LEAST_OF_EACH} solutions of each kind; "
            f"{_REMEDY}"
        )


def num_held_out(problems: int) -> int:
    """Return how many of so many problems are kept for the figures."""
    return max(1, round(HELD_OUT * problems))


def agreed(problems: Sequence[Hashable], classes: Sequence[int | None]) -> list[bool]:
    """Say which solutions give the answer that most of their problem's give.

    Of equally frequent answers, none is agreed upon.

    Args:
        problems: Of each solution.
        classes: Of each solution's answer; None without one.
    """
    counts: dict[Hashable, Counter[int]] = {}
    for problem, one in zip(problems, classes, strict=True):
        if one is not None:
            counts.setdefault(problem, Counter())[one] += 1
    winners = {problem: _winner(found) for problem, found in counts.items()}
    return [
        one is not None and winners[problem] == one
        for problem, one in zip(problems, classes, strict=True)
    ]


def _winner(counts: Counter[int]) -> int | None:
    (first, most), *others = counts.most_common(2)
    return None if any(count == most for _, count in others) else first
