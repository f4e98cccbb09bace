"""From examples to a head: choose a recipe by cross-validation, fit it, measure it held out."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from tts.evals.heads.bars import learn_bars
from tts.evals.heads.examples import Examples, check_labels
from tts.evals.heads.fit import Recipe, fit
from tts.evals.heads.measure import Figures, auroc_within, measure
from tts.heads.head import Head, sigmoid
from tts.types import StateSpec
from tts.verifiers._calibration import fit_platt

FOLDS = 5
HELD_OUT = 0.25  # of the problems
_PENALTIES = (1e-3, 1e-2, 1e-1)
_HIDDEN = (64, 0.1)  # units, weight decay


@dataclass(frozen=True, slots=True)
class Trained:
    """A head with its figures.

    Attributes:
        head: It.
        recipe: How it was made.
        tried: Recipes with their cross-validated AUROC within problems.
        held_out: Figures on problems that nothing was fitted to.
        labels_agree: Share of the training solutions whose label is what the grader says.
    """

    head: Head
    recipe: Recipe
    tried: tuple[tuple[Recipe, float], ...]
    held_out: Figures
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
    learnt, held = split(examples, HELD_OUT, seed)
    check_labels(learnt)
    tried = []
    for recipe in recipes(examples.layers):
        logits = cross_validate(learnt, recipe, seed)
        tried.append((recipe, _score(learnt, logits), logits))
        note(f"{recipe}: AUROC within problems {tried[-1][1]:.3f}")
    best, _, logits = max(tried, key=lambda one: one[1])
    arrays = fit(learnt, best, seed=seed)
    platt = fit_platt(logits[learnt.ends].tolist(), learnt.label.tolist())
    arrays["calibration"] = np.array([platt.slope, platt.offset], np.float32)
    bars = learn_bars(learnt, sigmoid(platt.slope * logits + platt.offset))
    head = Head(weights, model, StateSpec(best.layers, "steps"), arrays)
    values = sigmoid(platt.slope * head.logits(held.features(best.layers)) + platt.offset)
    figures = measure(held, values, seed=seed)
    facts = {
        "recipe": str(best),
        "data": data,
        "seed": seed,
        "held_out": asdict(figures),
        "bars": [asdict(bar) for bar in bars],
    }
    return Trained(
        Head(weights, model, head.spec, arrays, facts),
        best,
        tuple((recipe, value) for recipe, value, _ in tried),
        figures,
        float(np.mean(learnt.label == learnt.is_right)),
    )


def recipes(layers: Sequence[int]) -> list[Recipe]:
    """Return the recipes that are compared: each layer alone, linear; all of them; a hidden one."""
    alone = [(layer,) for layer in layers]
    sets = [*alone, tuple(layers)] if len(layers) > 1 else alone
    linear = [Recipe(one, penalty) for one in sets for penalty in _PENALTIES]
    units, decay = _HIDDEN
    return [*linear, *(Recipe(one, decay, units) for one in sets)]


def split(examples: Examples, share: float, seed: int) -> tuple[Examples, Examples]:
    """Return the examples of most problems, and those of a share of them."""
    problems = np.random.default_rng(seed).permutation(np.unique(examples.problem))
    count = max(1, round(share * len(problems)))
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
        logits[rows] = head.logits(features[rows])
    return logits


def _score(examples: Examples, logits: NDArray[np.float64]) -> float:
    groups = [np.flatnonzero(examples.problem == one) for one in np.unique(examples.problem)]
    return auroc_within(logits[examples.ends], examples.label, groups) or 0.5
