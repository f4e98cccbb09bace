"""How likely each answer is right, from the votes for it and a verifier's scores of them.

One logistic regression over all answers of all problems. Its measures hold those of the usual
rules: the share of the votes (self-consistency), the share of the summed scores (weighted vote) and
the best score (best-of-n), so that it takes, for each problem, the rule that its samples speak for:
agreement where answers agree, the verifier where they do not. Arrays are [..., answers]; an answer
without votes has no chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError, optional_import

with optional_import("the allocation of a budget"):
    from scipy.optimize import minimize
    from scipy.special import expit

NUM_MEASURES = 12
_LEAST_SCORE = 1e-3  # a score further from one half says no more
_RIDGE = 1.0  # prior precision of a weight
_Floats = NDArray[np.float64]
_PRIOR = (-2.0, 4.0, 0.5, 0.5) + (0.0,) * 8  # a vote, before anything is fitted


class Evidence(NamedTuple):
    """What samples say of a problem's answers.

    Attributes:
        votes: [..., answers], samples that gave each.
        total: [..., answers], sum of their scores; 0 without a verifier.
        best: [..., answers], the best of them.
        num_samples: [...], samples drawn, those without an answer included.
    """

    votes: _Floats
    total: _Floats
    best: _Floats
    num_samples: _Floats


def gather(classes: Sequence[int], scores: Sequence[float] = ()) -> Evidence:
    """Return the evidence of one problem's samples.

    Args:
        classes: Answer of each sample, from 0; -1 for none.
        scores: Of each, in [0, 1]; empty without a verifier.

    Raises:
        InputError: Not one score for each, or one outside [0, 1].
    """
    groups, values = _checked(classes, scores)
    is_vote = groups >= 0
    groups, values = groups[is_vote], values[is_vote]
    num_answers = max(1, int(groups.max(initial=-1)) + 1)
    best = np.zeros(num_answers)
    np.maximum.at(best, groups, values)
    return Evidence(
        np.bincount(groups, minlength=num_answers).astype(np.float64),
        np.asarray(np.bincount(groups, values, minlength=num_answers), dtype=np.float64),
        best,
        np.array(float(len(classes))),
    )


def gather_along(
    classes: Sequence[int], scores: Sequence[float], orders: NDArray[np.int64], sizes: Sequence[int]
) -> Evidence:
    """Return the evidence after each of `sizes` samples, along each order of drawing.

    Args:
        classes: As in `gather`.
        scores: As in `gather`.
        orders: [orders, samples], permutations.
        sizes: Numbers of samples, rising.

    Returns:
        Arrays [orders, sizes, answers], and `num_samples` [orders, sizes].
    """
    groups, values = _checked(classes, scores)
    num_answers = max(1, int(groups.max(initial=-1)) + 1)
    is_vote = groups[orders][:, :, None] == np.arange(num_answers)
    scored = is_vote * values[orders][:, :, None]
    last = np.minimum(np.asarray(sizes), max(1, len(groups))) - 1
    shape = (len(orders), len(sizes))
    if not len(groups):
        none = np.zeros((*shape, num_answers))
        return Evidence(none, none, none, np.zeros(shape))
    return Evidence(
        np.cumsum(is_vote, axis=1)[:, last].astype(np.float64),
        np.cumsum(scored, axis=1)[:, last],
        np.maximum.accumulate(scored, axis=1)[:, last],
        np.broadcast_to(last + 1.0, shape),
    )


def _checked(classes: Sequence[int], scores: Sequence[float]) -> tuple[NDArray[np.int64], _Floats]:
    groups = np.asarray(classes, dtype=np.int64)
    values = np.asarray(scores, dtype=np.float64) if len(scores) else np.zeros(len(groups))
    if len(values) != len(groups) or not ((values >= 0.0) & (values <= 1.0)).all():
        raise InputError("evidence needs a score in [0, 1] for each sample, or none at all")
    return groups, values


@dataclass(frozen=True, slots=True)
class AnswerModel:
    """A fitted regression: weight of each measure (see `measures`)."""

    weights: tuple[float, ...] = _PRIOR

    def __post_init__(self) -> None:
        """Refuse a model of other measures."""
        if len(self.weights) != NUM_MEASURES:
            raise InputError(f"an answer model has {NUM_MEASURES} weights, got {len(self.weights)}")

    def chances(self, evidence: Evidence) -> _Floats:
        """Return the chance of each answer to be right, [..., answers]."""
        chance = expit(measures(evidence) @ np.asarray(self.weights))
        return np.asarray(np.where(evidence.votes > 0, chance, 0.0))


def measures(evidence: Evidence) -> _Floats:
    """Return the measures of each answer, [..., answers, NUM_MEASURES].

    1, share of the samples, log votes, share * log samples, share of the summed scores, best score,
    mean score, best score * largest share, log samples; then on scales on which small differences
    near 0 and 1 count: log of the summed scores, logit of the best score, log of the strongest
    rival's summed scores.
    """
    votes, total, best, num_samples = evidence
    n = np.maximum(num_samples, 1.0)[..., None]
    share = votes / n
    log_n = np.broadcast_to(np.log(n), votes.shape)
    whole = total.sum(axis=-1, keepdims=True)
    columns = (
        np.ones_like(votes),
        share,
        np.log1p(votes),
        share * log_n,
        total / np.maximum(whole, 1e-9),
        best,
        total / np.maximum(votes, 1.0),
        best * share.max(axis=-1, keepdims=True),
        log_n,
        np.log(np.maximum(total, _LEAST_SCORE)),
        np.log(np.maximum(best, _LEAST_SCORE) / np.maximum(1.0 - best, _LEAST_SCORE)),
        np.log(np.maximum(_strongest_rival(total), _LEAST_SCORE)),
    )
    return np.stack(columns, axis=-1)


def _strongest_rival(total: _Floats) -> _Floats:
    """Return the largest of the others' values for each answer, [..., answers]; 0 without one."""
    padded = np.concatenate([total, np.zeros_like(total[..., :1])], axis=-1)
    ranked = np.partition(padded, (-2, -1), axis=-1)
    second, first = ranked[..., -2:-1], ranked[..., -1:]
    return np.where(total < first, first, second)


def fit_answers(seen: Sequence[tuple[Evidence, NDArray[np.bool_]]]) -> AnswerModel:
    """Return the regression of largest likelihood, with a normal prior around plain voting.

    Each problem weighs 1 in all, however many states and answers it has.

    Args:
        seen: Evidence of each problem, in any number of states, and [answers], which are right.

    Raises:
        InputError: There are no answers to learn from.
    """
    rows, labels, parts = [], [], []
    for evidence, right in seen:
        has_votes = evidence.votes > 0
        found = int(has_votes.sum())
        rows.append(measures(evidence)[has_votes])
        labels.append(np.broadcast_to(right, has_votes.shape)[has_votes])
        # Weighed by state: a state with many answers says no more than one with a few.
        parts.append(np.full(found, 1.0 / max(1, has_votes.any(axis=-1).sum())))
    x, y, weight = (np.concatenate(part) if part else np.zeros(0) for part in (rows, labels, parts))
    if not len(x):
        raise InputError("no calibration problem has a sample with an answer")
    prior = np.asarray(_PRIOR)

    def loss(weights: _Floats) -> tuple[float, _Floats]:
        logit = x @ weights
        away = weights - prior
        value = weight @ (np.logaddexp(0.0, logit) - y * logit) + 0.5 * _RIDGE * away @ away
        return float(value), np.asarray(x.T @ (weight * (expit(logit) - y)) + _RIDGE * away)

    found_weights = minimize(loss, prior, jac=True, method="L-BFGS-B").x
    return AnswerModel(tuple(float(w) for w in found_weights))
