"""Verifiers for tests: those of the catalogue by name, and one that is a function."""

from collections.abc import Callable, Sequence

import numpy as np

from tts.heads.head import Head
from tts.parts.build import default_model, load_verifier
from tts.protocols import Context, Engine, Verifier, VerifierSpec
from tts.types import Score, StateSpec, Trajectory
from tts.verifiers.head import HeadVerifier

# A state of 5 is worth 0.5, and more is better; below 0.3 a solution is hopeless.
SMALL_HEAD = Head(
    weights="",
    model="scripted",
    spec=StateSpec((1,)),
    arrays={
        name: np.array(numbers, np.float32)
        for name, numbers in {
            "mean": [5, 0],
            "scale": [1, 1],
            "out_weight": [0.4, 0],
            "out_bias": [0],
            "calibration": [1, 0],
        }.items()
    },
    facts={"bars": [{"loss": 0.01, "value": 0.3}]},
)


def open_verifier(text: str, engine: Engine | None = None) -> Verifier:
    """Build a verifier from its name and options; a reward model's engine is given.

    The value head is one that reads the scripted engine's states.
    """
    module, config = load_verifier(text)
    if text == "head":  # the bundled one reads the bundled model alone
        return HeadVerifier(SMALL_HEAD, config)
    given = () if default_model(text) is None else (engine,)
    verifier: Verifier = module.build(config, *given)
    return verifier


class ByText:
    """A verifier whose score is a function of the text; what the function raises is a failure."""

    spec = VerifierSpec(unit_interval=True)

    def __init__(self, rule: Callable[[str], float]) -> None:
        self._rule = rule

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        return [Score(self._rule(trajectory.text)) for trajectory in trajectories]

    async def aclose(self) -> None:
        pass
