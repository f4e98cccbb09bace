"""Several verifiers as one: their mean, product or sum, or the cheap ones first.

All but `cascade` need every member; one that fails is the ensemble's error, since a mean over
whoever answered would compare unlike things. `logit` adds the members' logits, by weights and an
offset that were learnt (`tts train-verifier` learns them where samples carry scores of other
verifiers), so that the sum is the logit of a probability again. `sum` is the hybrid of R2E-Gym
(Jain et al. 2025, arXiv:2504.07164): the share of tests passed, times a weight that no other member
can outdo, plus the opinion of a model, which so breaks ties; their cut to the n best by the model
is a `select(keep=n)` before it. `cascade` asks the members in turn, cheapest first, and stops at
the first that is sure; one that fails is passed over. Scores that a trajectory already carries are
not made again.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.scoring import ask_verifier
from tts.types import Score, Trajectory

_LEAST = 1e-6


class Config(Parameters):
    """Options of the ensemble; its members' scores lie in [0, 1]."""

    verifiers: tuple[str, ...] = Field(
        ("rule", "prm"), min_length=1, description="members, with their options, cheapest first"
    )
    mode: Literal["mean", "product", "logit", "sum", "cascade"] = Field(
        "mean", description="how scores are joined, or cascade: ask until one is sure"
    )
    weights: tuple[float, ...] = Field((), description="weight of each member; equal ones if empty")
    offset: float = Field(0.0, description="added to a sum of logits")
    sure_below: float = Field(
        0.1, ge=0, le=1, description="score below which a member of a cascade is sure"
    )
    sure_above: float = Field(
        0.9, ge=0, le=1, description="score above which a member of a cascade is sure"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.weights and len(self.weights) != len(self.verifiers):
            raise ValueError("one weight for each verifier")
        if any(weight < 0 for weight in self.weights) or (self.weights and not any(self.weights)):
            raise ValueError("weights are at least 0, and not all 0")
        return self


class Ensemble:
    """Joins the scores of other verifiers of the run."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._weights = config.weights or (1.0,) * len(config.verifiers)

    @property
    def spec(self) -> VerifierSpec:
        """Probabilities, but for a sum."""
        is_sum = self._config.mode == "sum"
        return VerifierSpec(
            unit_interval=not is_sum, summable=is_sum, verifiers=self._config.verifiers
        )

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Score each trajectory by all members, or by as many as it takes."""
        join = self._cascade if self._config.mode == "cascade" else self._join
        return [await join(context, trajectory) for trajectory in trajectories]

    async def aclose(self) -> None:
        """The members belong to the run."""

    async def _join(self, context: Context, trajectory: Trajectory) -> Score:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_ask(context, name, trajectory))
                for name in self._config.verifiers
            ]
        values: list[float] = []
        for name, task in zip(self._config.verifiers, tasks, strict=True):
            value, error = task.result()
            if value is None:
                return Score(None, error=f"{name}: {error}")
            values.append(value)
        return Score(self._combine(values))

    async def _cascade(self, context: Context, trajectory: Trajectory) -> Score:
        last, errors = None, []
        for name in self._config.verifiers:
            value, error = await _ask(context, name, trajectory)
            if value is None:
                errors.append(f"{name}: {error}")
                continue
            last = value
            if value <= self._config.sure_below or value >= self._config.sure_above:
                break
        return Score(last) if last is not None else Score(None, error="; ".join(errors))

    def _combine(self, values: Sequence[float]) -> float:
        pairs = list(zip(self._weights, values, strict=True))
        if self._config.mode == "logit":
            logits = (weight * logit(value) for weight, value in pairs)
            return 0.5 + 0.5 * math.tanh(0.5 * (self._config.offset + math.fsum(logits)))
        total = math.fsum(self._weights)
        if self._config.mode == "sum":
            return math.fsum(weight * value for weight, value in pairs)
        if self._config.mode == "product":
            return float(math.prod(value**weight for weight, value in pairs))
        return math.fsum(weight * value for weight, value in pairs) / total


def logit(probability: float) -> float:
    """Return log(p / (1 - p)), within those of one in a million."""
    kept = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(kept / (1 - kept))


async def _ask(
    context: Context, name: str, trajectory: Trajectory
) -> tuple[float | None, str | None]:
    """Return a member's probability, or why there is none."""
    score = trajectory.scores.get(name)
    if score is None:
        (score,) = await ask_verifier(context, name, [trajectory])
    value = score.probability_or_value
    if value is not None and not 0.0 <= value <= 1.0:
        return None, f"{value} is no probability; calibrate it"
    return value, score.error


def build(config: Config) -> Ensemble:
    """Return the verifier; its members have engines of their own."""
    return Ensemble(config)
