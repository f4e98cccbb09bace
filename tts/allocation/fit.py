"""Beliefs fitted to recorded samples: how right answers share the votes with wrong ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.allocation.support import Belief
from tts.errors import InputError, optional_import

with optional_import("a fitted belief"):
    from scipy.optimize import minimize
    from scipy.special import betaln, expit, gammaln

_MOST_DISCOUNT = 0.95


@dataclass(frozen=True, slots=True)
class Recorded:
    """All samples of one problem.

    Attributes:
        classes: Class of equal answers of each sample, from 0; -1 for no answer.
        right: The classes that are right; usually one, or none.
        costs: Of each sample.
        scores: A verifier's, of each, in [0, 1]; empty without one.
    """

    classes: tuple[int, ...]
    right: frozenset[int]
    costs: tuple[float, ...]
    scores: tuple[float, ...] = ()


class Winners(NamedTuple):
    """The vote after each sample, along one order of drawing.

    Attributes:
        is_right: [orders, samples + 1], whether the winner after n samples is right.
        votes: [orders, samples + 1, classes], of each class after n samples.
        classes: [orders, samples], the classes as drawn.
        costs: [orders, samples].
    """

    is_right: NDArray[np.bool_]
    votes: NDArray[np.int32]
    classes: NDArray[np.int64]
    costs: NDArray[np.float64]


def follow_votes(problem: Recorded, orders: NDArray[np.int64]) -> Winners:
    """Return the vote's course along each order; ties go to the class that was seen first.

    Args:
        problem: Its samples.
        orders: [orders, samples], each a permutation.
    """
    classes = np.asarray(problem.classes, dtype=np.int64)[orders]
    num_orders, num_samples = classes.shape
    num_classes = max(1, int(classes.max(initial=-1)) + 1)
    votes = classes[:, :, None] == np.arange(num_classes)
    counts = np.cumsum(votes, axis=1, dtype=np.int32)
    first = np.where(votes.any(axis=1), votes.argmax(axis=1), num_samples)  # [orders, classes]
    # The number of votes decides; among equals, who came first.
    rank = counts * (num_samples + 1) - first[:, None, :]
    winner = rank.argmax(axis=2)
    is_right = np.isin(winner, list(problem.right)) & counts.any(axis=2)
    none = np.zeros((num_orders, 1, num_classes), dtype=np.int32)
    return Winners(
        np.hstack([none[:, :, 0].astype(bool), is_right]),
        np.hstack([none, counts]),
        classes,
        np.asarray(problem.costs, dtype=np.float64)[orders],
    )


def draw_orders(rng: np.random.Generator, num_orders: int, num_samples: int) -> NDArray[np.int64]:
    """Return random orders of drawing, [orders, samples]."""
    return rng.permuted(np.tile(np.arange(num_samples), (num_orders, 1)), axis=1)


def fit_belief(problems: Sequence[Recorded]) -> Belief:
    """Return the belief of largest likelihood for all recorded samples, with a weak prior.

    A problem whose right answer is known to nobody's sample counts as one whose samples are wrong.
    The default belief is the prior: a factor of e on a parameter costs half a unit of likelihood,
    as few problems as four can outweigh it, and data that are all right or all wrong stay a belief
    and not a certainty.

    Raises:
        InputError: No problem has a sample with an answer.
    """
    counts = [_right_and_wrong(problem) for problem in problems]
    right = np.array([own for own, _ in counts], dtype=np.float64)
    total = np.array([own + wrong.sum() for own, wrong in counts], dtype=np.float64)
    if not total.any():
        raise InputError("no calibration problem has a sample with an answer")
    wrong = np.concatenate([part for _, part in counts])
    place = np.concatenate([np.arange(len(part)) for _, part in counts])
    start = _to_numbers(Belief())

    def loss(numbers: NDArray[np.float64]) -> float:
        a, b, spread, discount = _to_parameters(numbers)
        likelihood = np.sum(betaln(a + right, b + total - right) - betaln(a, b))
        likelihood -= np.sum(gammaln(spread + total - right) - gammaln(spread))
        likelihood += np.sum(np.log(spread + discount * place))
        likelihood += np.sum(gammaln(wrong - discount) - gammaln(1.0 - discount))
        return float(0.5 * np.sum((numbers - start) ** 2) - likelihood)

    fitted = _to_parameters(minimize(loss, start, method="L-BFGS-B").x)
    drawn = sum(len(problem.classes) for problem in problems)
    return Belief(*fitted, answers=float((total.sum() + Belief().answers) / (drawn + 1.0)))


def _right_and_wrong(problem: Recorded) -> tuple[int, NDArray[np.int64]]:
    """Return the votes for right answers, and those of each class of wrong ones."""
    counts = np.bincount([c for c in problem.classes if c >= 0], minlength=1)
    is_right = np.isin(np.arange(len(counts)), list(problem.right))
    return int(counts[is_right].sum()), counts[~is_right & (counts > 0)]


def _to_numbers(belief: Belief) -> NDArray[np.float64]:
    share = belief.discount / _MOST_DISCOUNT
    logit = np.log(share / (1.0 - share))
    return np.array([*np.log([belief.right, belief.wrong, belief.spread]), logit])


def _to_parameters(numbers: NDArray[np.float64]) -> tuple[float, float, float, float]:
    a, b, spread = np.exp(numbers[:3])
    return float(a), float(b), float(spread), float(_MOST_DISCOUNT * expit(numbers[3]))
