"""The model's own certainty, from the log-probabilities of the tokens that it drew; no model runs.

Sources: Fu et al. 2025, "Deep Think with Confidence", arXiv:2508.15260 (`mean`, `tail`, `bottom`,
`lowest`); Kang et al. 2025, "Scalable Best-of-N Selection via Self-Certainty", arXiv:2502.18581
(`self_certainty`, here over the `candidates` likeliest tokens that the engine reports, at most 20,
and not over the whole vocabulary as in the source: it is a linear function of `mean`, so it ranks
the same, and need not rank as the source's does); `logprob` is
the mean log-probability of the drawn tokens, minus an estimate of their entropy at temperature 1;
`likelihood` is its exponential, the inverse perplexity.

A run that uses it has its log-probabilities switched on. Every measure is higher for more certain
trajectories; all but `logprob` may be summed as weights, as DeepConf does.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from tts import confidence
from tts.protocols import Context, Engine, VerifierSpec
from tts.types import Score, Trajectory
from tts.verifiers._base import VerifierConfig

DEFAULT_MODEL: str | None = None
Measure = Literal["mean", "tail", "bottom", "lowest", "self_certainty", "logprob", "likelihood"]


class Config(VerifierConfig):
    """Options of the confidence verifier."""

    measure: Measure = "mean"
    tokens: int = Field(2048, ge=1, description="length of a group, and of the tail")
    candidates: int = Field(20, ge=1, le=20, description="likeliest tokens averaged over")


def _mean_logprob(trajectory: Trajectory) -> float:
    logprobs = trajectory.logprobs or ()
    return math.fsum(logprobs) / len(logprobs)


_OF_CONFIDENCES: Mapping[str, Callable[[Sequence[float], Config], float]] = {
    "mean": lambda values, _: math.fsum(values) / len(values),
    "tail": lambda values, config: confidence.tail(values, config.tokens),
    "bottom": lambda values, config: confidence.bottom_groups(values, config.tokens),
    "lowest": lambda values, config: confidence.lowest_group(values, config.tokens),
    "self_certainty": lambda values, config: confidence.self_certainty(values, config.candidates),
}


class ConfidenceVerifier:
    """Measures a trajectory's token log-probabilities."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._reads_drawn_tokens = config.measure in ("logprob", "likelihood")

    @property
    def spec(self) -> VerifierSpec:
        """Needs log-probabilities; `likelihood` lies in [0, 1]."""
        return VerifierSpec(
            needs=frozenset({"logprobs"}),
            unit_interval=self._config.measure == "likelihood",
            summable=self._config.measure != "logprob",
            logprobs=1 if self._reads_drawn_tokens else self._config.candidates,
        )

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Measure; a trajectory whose engine reported nothing has an error."""
        return [self._score(trajectory) for trajectory in trajectories]

    async def aclose(self) -> None:
        """Owns nothing."""

    def _score(self, trajectory: Trajectory) -> Score:
        values = trajectory.logprobs if self._reads_drawn_tokens else trajectory.confidences
        if not values:
            return Score(None, error="the engine reported no log-probabilities of its tokens")
        if self._reads_drawn_tokens:
            value = _mean_logprob(trajectory)
            value = math.exp(value) if self._config.measure == "likelihood" else value
        else:
            value = _OF_CONFIDENCES[self._config.measure](values, self._config)
        if not math.isfinite(value):
            return Score(None, error="a token's log-probability is infinite")
        return Score(value)


def build(engine: Engine | None, config: Config) -> ConfidenceVerifier:
    """Return the verifier; it needs no engine of its own."""
    return ConfidenceVerifier(config)
