"""Which point of a space is tried next."""

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Literal

from tts.errors import optional_import
from tts.tuning.space import Point, Space

Optimiser = Literal["tpe", "random"]
_PRESET = "preset"
_MAX_REPEATS = 200  # proposals in a row that are known: the space is nearly spent


class Proposer:
    """Proposes points that have not been tried, and learns how good they were.

    `tpe` is the tree-structured Parzen estimator (Bergstra et al. 2011) as Optuna has it, which
    takes a parameter of one preset for another than that of the next; `random` draws evenly.

    Args:
        space: What may be tried.
        optimiser: How.
        seed: The same seed and the same scores give the same points.

    Raises:
        MissingExtraError: Optuna is not installed.
    """

    def __init__(self, space: Space, optimiser: Optimiser, seed: int) -> None:
        with optional_import("a search"):
            optuna: Any = import_module("optuna")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        kind = optuna.samplers.TPESampler if optimiser == "tpe" else optuna.samplers.RandomSampler
        self._study = optuna.create_study(direction="maximize", sampler=kind(seed=seed))
        self._space, self._scores = space, dict[Point, float]()

    def points(self) -> Iterator[Point]:
        """Yield points until the space is spent; `tell` the score of one before the next."""
        repeats = 0
        while repeats < _MAX_REPEATS and len(self._scores) < self._space.size:
            trial = self._study.ask()
            point = self._point(trial)
            known = self._scores.get(point)
            repeats = 0 if known is None else repeats + 1
            if known is None:
                yield point
            self._study.tell(trial, self._scores[point])

    def tell(self, point: Point, score: float) -> None:
        """Take the score of a point; more is better."""
        self._scores[point] = score

    def _point(self, trial: Any) -> Point:
        preset = trial.suggest_categorical(_PRESET, list(self._space.choices))
        chosen = []
        for path, values in self._space.choices[preset].items():
            texts = [json.dumps(value) for value in values]
            text = trial.suggest_categorical(f"{preset}/{path}", texts)
            chosen.append((path, json.loads(text)))
        return Point(preset, tuple(chosen))
