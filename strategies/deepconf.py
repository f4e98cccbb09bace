"""DeepConf: let the model's own token confidence filter, weigh and cut parallel trajectories.

Source: Fu et al. 2025, "Deep Think with Confidence", arXiv:2508.15260; groups of 2048 tokens, 20
candidates, temperature 0.6, top_p 0.95; offline 512 samples of which the best tenth vote, online a
warm-up of 16 and a budget of 256 there.

Offline (`warmup: 0`): sample all, keep the share `keep` with the highest confidence, vote weighted
by confidence. Online: the warm-up sets a bar that its best `keep` share reaches (0.9 is their
"high", 0.1 their "low"); later trajectories are cut when a window falls below it; the vote stops
when the leader has `stop_at` of the weight. Departures: trajectories are looked at every `chunk`
tokens and not at every token, since no hook in the engine is needed so; and the answer is that of
the weighted vote, which the published code replaces by a plain majority.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.screen import screen
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of DeepConf."""

    n: int = Field(512, ge=1, description="trajectories in all")
    warmup: int = Field(0, ge=0, description="trajectories that set the bar; 0 is the offline form")
    measure: Literal["mean", "tail", "bottom", "lowest"] = Field(
        "tail", description="confidence that filters and weighs; online always lowest"
    )
    keep: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="share of the trajectories that vote, or whose confidence sets the bar",
    )
    window: int = Field(
        2048, ge=1, description="tokens of a group whose mean is taken, and of the tail"
    )
    chunk: int = Field(
        256, ge=1, description="tokens between two looks at a running trajectory (online form)"
    )
    stop_at: float = Field(
        0.95,
        gt=0.5,
        lt=1.0,
        description="share of the weight at which the leader has won (online form)",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warmup > self.n:
            raise ValueError(f"a warm-up of {self.warmup} is more than all {self.n}")
        return self


def build(config: Config) -> Pipeline:
    """Offline: sample, filter, vote. Online: warm up, sample against the bar, vote."""
    if config.warmup == 0:
        measured = f"confidence(measure={config.measure}, tokens={config.window})"
        return (
            sample(n=config.n)
            >> score(verifier=measured)
            >> vote(weights=measured, keep=config.keep)
        )
    lowest = f"confidence(measure=lowest, tokens={config.window})"
    drawn = sample(n=config.warmup).named("warmup") >> screen(
        n=config.n - config.warmup, keep=config.keep, window=config.window, chunk=config.chunk
    )
    ballot = vote(weights=lowest, stop_at=config.stop_at, certainty="share", min_votes=2)
    return drawn >> score(verifier=lowest) >> ballot
