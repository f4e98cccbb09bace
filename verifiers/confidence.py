"""The model's own certainty, from the distributions of the tokens that it drew; no model runs.

Sources: Fu et al. 2025, "Deep Think with Confidence", arXiv:2508.15260 (`mean`, `tail`, `bottom`,
`lowest`, over the `candidates` likeliest tokens); Kang et al. 2025, "Scalable Best-of-N Selection
via Self-Certainty", arXiv:2502.18581 (`self_certainty`). `entropy` is minus the mean entropy of the
tokens' distributions; `logprob` is the mean log-probability of the drawn tokens, `likelihood` its
exponential, the inverse perplexity.

`self_certainty` and `entropy` are exact on the embedded engine, which reads every token's whole
distribution (temperature 1, nothing truncated). Other engines report some likeliest tokens only:
there both are estimates, and the trace says `estimate`. Self-certainty is then taken over the
`candidates` alone, a linear function of `mean`, and need not rank as the exact one does; minus the
entropy is estimated by `logprob`, which is unbiased where the tokens were drawn at temperature 1
from the whole vocabulary.

A run that uses it has what it reads switched on. Every measure is higher for more certain
trajectories; all but `logprob` and `entropy` may be summed as weights, as DeepConf does.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import Score, Trajectory
from tts.voting import confidence

Measure = Literal[
    "mean", "tail", "bottom", "lowest", "self_certainty", "entropy", "logprob", "likelihood"
]


class Config(Parameters):
    """Options of the confidence verifier."""

    measure: Measure = Field("mean", description="what is measured of a trajectory's tokens")
    tokens: int = Field(
        2048, ge=1, description="tokens of a group whose mean is taken, and of the tail"
    )
    candidates: int = Field(
        20, ge=1, le=20, description="likeliest tokens that a confidence is averaged over"
    )


_Reading = Callable[[Sequence[float], Config], float]


def _mean(values: Sequence[float], _: Config) -> float:
    return math.fsum(values) / len(values)


# By measure: what is known of each token, and what is made of it.
_EXACT: Mapping[str, tuple[str, _Reading]] = {
    "self_certainty": ("self_certainties", _mean),
    "entropy": ("entropies", lambda v, config: -_mean(v, config)),
}
_REPORTED: Mapping[str, tuple[str, _Reading]] = {
    "mean": ("confidences", _mean),
    "tail": ("confidences", lambda v, config: confidence.tail(v, config.tokens)),
    "bottom": ("confidences", lambda v, config: confidence.bottom_groups(v, config.tokens)),
    "lowest": ("confidences", lambda v, config: confidence.lowest_group(v, config.tokens)),
    "self_certainty": (
        "confidences",
        lambda v, config: confidence.estimated_self_certainty(v, config.candidates),
    ),
    "entropy": ("logprobs", _mean),
    "logprob": ("logprobs", _mean),
    "likelihood": ("logprobs", lambda v, config: math.exp(_mean(v, config))),
}


class ConfidenceVerifier:
    """Measures how certain the model was of a trajectory's tokens."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._exact = _EXACT.get(config.measure)
        self._reported = _REPORTED[config.measure]

    @property
    def spec(self) -> VerifierSpec:
        """Needs log-probabilities, or certainties in their place; `likelihood` lies in [0, 1]."""
        return VerifierSpec(
            needs=frozenset({"logprobs"}),
            unit_interval=self._config.measure == "likelihood",
            summable=self._config.measure not in ("logprob", "entropy"),
            logprobs=1 if self._reported[0] == "logprobs" else self._config.candidates,
            certainties=self._exact is not None,
        )

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Measure; a trajectory whose engine reported nothing has an error."""
        return [self._score(context, trajectory) for trajectory in trajectories]

    async def aclose(self) -> None:
        """Owns nothing."""

    def _score(self, context: Context, trajectory: Trajectory) -> Score:
        if self._exact is not None and getattr(trajectory, self._exact[0]):
            name, measure = self._exact
        else:
            name, measure = self._reported
            if self._exact is not None:
                context.emit("estimate", id=trajectory.id, measure=self._config.measure)
        values: Sequence[float] | None = getattr(trajectory, name)
        if not values:
            return Score(None, error="the engine reported no log-probabilities of its tokens")
        value = measure(values, self._config)
        if not math.isfinite(value):
            return Score(None, error="a token's log-probability is infinite")
        return Score(value)


def build(config: Config) -> ConfidenceVerifier:
    """Return the verifier."""
    return ConfidenceVerifier(config)
