"""Which point of a space is tried next."""

import json
import random
from importlib import import_module
from typing import Any, Literal, Protocol

from tts.errors import optional_import
from tts.tuning.space import Point, Space
from tts.tuning.trial import Trial

Optimiser = Literal["tpe", "random", "llm", "reinforce"]
TOO_DEAR = -1.0  # in place of an accuracy, as Archon has it (arXiv:2409.15254)
_PRESET = "preset"
MAX_REPEATS = 200  # proposals in a row that are known: the space is nearly spent


class Proposer(Protocol):
    """Proposes points that have not been tried, and learns how good they were.

    With the same seed and the same trials it proposes the same points.
    """

    @property
    def notes(self) -> list[str]:
        """What is to be said of its proposals at the end."""
        ...

    async def propose(self) -> Point | None:
        """Return a new point; None once the space is spent. `tell` of it before the next."""
        ...

    def tell(self, trial: Trial, score: float) -> None:
        """Take what came of the point, or of a preset as it is, before the first proposal.

        Args:
            trial: It.
            score: Its accuracy, or `TOO_DEAR`.
        """
        ...


class OptunaProposer:
    """The tree-structured Parzen estimator (Bergstra et al. 2011) as Optuna has it, or chance.

    Optuna draws the first ten points by chance in any case: up to there the two are one. The
    estimator takes a parameter of one preset for another than that of the next.

    Args:
        space: What may be tried.
        optimiser: "tpe", or "random", which draws evenly.
        seed: Of what is drawn.

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
        self._open: dict[Point, Any] = {}
        self.notes: list[str] = []

    async def propose(self) -> Point | None:
        """Return a new point; known ones that are drawn again are told again."""
        for _ in range(MAX_REPEATS if len(self._scores) < self._space.size else 0):
            trial = self._study.ask()
            point = self._point(trial)
            if point not in self._scores:
                self._open[point] = trial
                return point
            self._study.tell(trial, self._scores[point])
        return None

    def tell(self, trial: Trial, score: float) -> None:
        """Take the score of a point that was proposed; more is better."""
        if (asked := self._open.pop(trial.point, None)) is not None:
            self._scores[trial.point] = score
            self._study.tell(asked, score)

    def _point(self, trial: Any) -> Point:
        preset = trial.suggest_categorical(_PRESET, list(self._space.searched))
        chosen = []
        for path, values in self._space.searched[preset].items():
            texts = [json.dumps(value) for value in values]
            text = trial.suggest_categorical(f"{preset}/{path}", texts)
            chosen.append((path, json.loads(text)))
        return Point(preset, tuple(chosen))


def random_point(space: Space, draw: random.Random) -> Point:
    """Return a point of a space: a preset, and then each of its values, evenly drawn."""
    preset = draw.choice(list(space.searched))
    values = [(path, draw.choice(values)) for path, values in space.searched[preset].items()]
    return Point(preset, tuple(values))
