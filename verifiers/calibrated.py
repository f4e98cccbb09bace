"""Another verifier's scores as probabilities, by a calibration that was fitted before.

"calibrated(verifier=prm(reduction=last), file='prm.json')"; the file holds what a fit in
`tts.verifiers._calibration` gives as JSON. Votes then sum the probability; `value` stays as it was.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from tts.errors import InputError
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import Score, Trajectory
from tts.verifiers._calibration import Calibrator, from_mapping


class Config(Parameters):
    """What is calibrated, and by which file."""

    verifier: str = Field("prm", description="verifier whose scores are calibrated")
    file: str = Field(
        "", description="JSON file of a calibration; scores stay as they are if empty"
    )


class Calibrated:
    """Adds probabilities to another verifier's scores."""

    def __init__(self, verifier: str, calibrator: Calibrator | None) -> None:
        self._verifier = verifier
        self._calibrator = calibrator

    @property
    def spec(self) -> VerifierSpec:
        """Probabilities; asks the other verifier."""
        is_calibrated = self._calibrator is not None
        return VerifierSpec(unit_interval=is_calibrated, verifiers=(self._verifier,))

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Ask the other verifier, and calibrate what it says."""
        scores = await context.verifier(self._verifier).score(context, trajectories)
        return [self._calibrate(score) for score in scores]

    async def aclose(self) -> None:
        """The other verifier belongs to the run."""

    def _calibrate(self, score: Score) -> Score:
        if score.value is None or self._calibrator is None:
            return score
        return replace(score, probability=self._calibrator.probability(score.value))


def build(config: Config) -> Calibrated:
    """Return the verifier.

    Raises:
        InputError: The file cannot be read.
    """
    return Calibrated(config.verifier, _load(config.file) if config.file else None)


def _load(file: str) -> Calibrator:
    try:
        values = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as a calibration: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{file}: not a calibration")
    return from_mapping(values)
