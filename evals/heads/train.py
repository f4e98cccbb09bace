"""From examples to a head: choose a recipe by cross-validation, fit it, measure it held out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tts.evals.heads.bars import learn_bars
from tts.evals.heads.examples import Examples, check_labels, num_held_out
from tts.evals.heads.fit import Recipe, fit
from tts.evals.heads.measure import Figures, measure, progress
from tts.evals.score_figures import Progress
from tts.heads.head import Head, sigmoid
from tts.score_quality import auroc_within, groups_of
from tts.types import StateSpec
from tts.verifiers._calibration import fit_logistic, fit_platt
from tts.verifiers.ensemble import logit

FOLDS = 5
_PENALTIES = (1e-3, 1e-2, 1e-1)
# Beside equal shares. Beyond, early places teach nothing, and a tree goes by their values: with the
# eighth power a head valued the preambles of GSM8K solutions, a quarter of which are right, at 0.7.
_LATENESS = (1.0, 2.0)
_SCORED = 0.9  # of the solutions, by a verifier that the head is joined with
_HIDDEN = (64, 0.1)  # units, weight decay


@dataclass(frozen=True, slots=True)
class Joined:
    """A head's logit and those of other verifiers, as a learned sum.

    Attributes:
        verifiers: The others.
        weights: Theirs, then the head's.
        offset: Added to the sum.
        held_out: Figures of its probability.
    """

    verifiers: tuple[str, ...]
    weights: tuple[float, ...]
    offset: float
    held_out: Figures


@dataclass(frozen=True, slots=True)
class Trained:
    """A head with its figures.

    Attributes:
        head: It.
        recipe: How it was made.
        tried: Recipes with their cross-validated AUROC within problems.
        held_out: Figures on problems that nothing was fitted to.
        progress: What its values are worth there before the end.
        joined: With the other verifiers that had scored the samples; None without any.
        labels_agree: Share of the training solutions whose label is what the grader says.
    """

    head: Head
    recipe: Recipe
    tried: tuple[tuple[Recipe, float], ...]
    held_out: Figures
    progress: list[Progress]
    joined: Joined | None
    labels_agree: float


def train(
    examples: Examples,
    *,
    weights: str,
    model: str,
    data: dict[str, object],
    seed: int = 0,
    note: Callable[[str], None] = lambda text: None,
) -> Trained:
    """Train a head.

    A quarter of the problems is held out. On the others, recipes are compared by the AUROC within
    problems of values at the ends, cross-validated in folds of problems. The best recipe's
    cross-validated logits also fit the calibration, and say below which value a solution is
    hopeless.

    Args:
        examples: All of them.
        weights: Of the model, as `ModelInfo.weights`.
        model: Its name.
        data: What they are, for the head's file.
        seed: Of the split, the folds and the fits.
        note: Told what is being done.

    Raises:
        InputError: The problems of a part are too few or too one-sided.
    """
    learnt, held = split(examples, seed)
    check_labels(learnt.problem.tolist(), learnt.label.tolist())
    tried: dict[Recipe, float] = {}
    unseen: dict[Recipe, NDArray[np.float64]] = {}

    def compare(recipes: Iterable[Recipe]) -> Recipe:
        for recipe in recipes:
            unseen[recipe] = cross_validate(learnt, recipe, seed)
            tried[recipe] = _score(learnt, unseen[recipe])
            note(f"{recipe}: AUROC within problems {tried[recipe]:.3f}")
        return max(tried, key=tried.__getitem__)

    best = compare(later(compare(linear(examples.layers))))
    best = compare(networks(best, examples.layers))
    logits = unseen[best]
    arrays = fit(learnt, best, seed=seed)
    platt = fit_platt(logits[learnt.ends].tolist(), learnt.label.tolist())
    arrays["calibration"] = np.array([platt.slope, platt.offset], np.float32)
    bars = learn_bars(learnt, sigmoid(platt.slope * logits + platt.offset))
    head = Head(weights, model, StateSpec(best.layers, "steps"), arrays)
    raw = head.logits(held.features(best.layers), held.solution).astype(np.float64)
    on_held = platt.slope * raw + platt.offset
    values = sigmoid(on_held)
    figures, shares = measure(held, values[held.ends], seed=seed), progress(held, values)
    joined = _join(learnt, platt.slope * logits + platt.offset, held, on_held, seed)
    facts = {
        "recipe": str(best),
        "data": data,
        "seed": seed,
        "held_out": asdict(figures),
        "progress": [asdict(one) for one in shares],
        "joined": None if joined is None else asdict(joined),
        "bars": [asdict(bar) for bar in bars],
    }
    return Trained(
        Head(weights, model, head.spec, arrays, facts),
        best,
        tuple(tried.items()),
        figures,
        shares,
        joined,
        float(np.mean(learnt.label == learnt.is_right)),
    )


def _join(
    learnt: Examples,
    logits: NDArray[np.float64],
    held: Examples,
    on_held: NDArray[np.float64],
    seed: int,
) -> Joined | None:
    """Fit the sum on cross-validated logits, and measure it on the problems held out.

    Where a verifier gave no score the sum is 0, as a vote counts it.
    """
    names = tuple(name for name, scores in learnt.scores.items() if _is_usual(scores))
    if not names:
        return None

    def columns(examples: Examples, of_head: NDArray[np.float64]) -> NDArray[np.float64]:
        others = [[logit(score) for score in examples.scores[name]] for name in names]
        return np.array([*others, of_head[examples.ends]])

    to_fit = columns(learnt, logits)
    has_all = np.isfinite(to_fit).all(axis=0)
    weights, offset = fit_logistic(to_fit[:, has_all].tolist(), learnt.label[has_all].tolist())
    sums = sigmoid(offset + np.array(weights) @ columns(held, on_held))
    return Joined(names, weights, offset, measure(held, np.nan_to_num(sums), seed=seed))


def _is_usual(scores: NDArray[np.float64]) -> bool:
    """Say whether a verifier scored nearly all solutions, by probabilities."""
    known = scores[np.isfinite(scores)]
    return len(known) >= _SCORED * len(scores) and bool(((known >= 0) & (known <= 1)).all())


def linear(layers: Sequence[int]) -> list[Recipe]:
    """Return the linear recipes: each layer alone, and all of them."""
    sets = dict.fromkeys([*((layer,) for layer in layers), tuple(layers)])
    return [Recipe(one, penalty) for one in sets for penalty in _PENALTIES]


def later(best: Recipe) -> list[Recipe]:
    """Return the best linear recipe with more weight on the places near a solution's end."""
    return [replace(best, lateness=lateness) for lateness in _LATENESS]


def networks(best: Recipe, layers: Sequence[int]) -> list[Recipe]:
    """Return those with a hidden layer: on the layers of the best linear one, and on all."""
    units, decay = _HIDDEN
    sets = dict.fromkeys([best.layers, tuple(layers)])
    return [
        Recipe(one, decay, units, attends, best.lateness)
        for one in sets
        for attends in (False, True)
    ]


def split(examples: Examples, seed: int) -> tuple[Examples, Examples]:
    """Return the examples of most problems, and those of the ones that are held out."""
    problems = np.random.default_rng(seed).permutation(np.unique(examples.problem))
    count = num_held_out(len(problems))
    return examples.of_problems(problems[count:]), examples.of_problems(problems[:count])


def cross_validate(examples: Examples, recipe: Recipe, seed: int) -> NDArray[np.float64]:
    """Return a logit for each place, by a head that saw no solution of its problem: [N]."""
    problems = np.random.default_rng(seed).permutation(np.unique(examples.problem))
    features = examples.features(recipe.layers)
    logits = np.zeros(len(features))
    for fold in np.array_split(problems, FOLDS):
        rest = examples.of_problems(np.setdiff1d(problems, fold))
        head = Head("", "", StateSpec(recipe.layers), fit(rest, recipe, seed=seed))
        rows = np.isin(examples.problem, fold)[examples.solution]
        logits[rows] = head.logits(features[rows], examples.solution[rows])
    return logits


def _score(examples: Examples, logits: NDArray[np.float64]) -> float:
    within = auroc_within(logits[examples.ends], examples.label, groups_of(examples.problem))
    return 0.5 if np.isnan(within) else within
