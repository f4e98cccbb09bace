"""Early exit by value: a thought is closed when a verifier is sure of the answer read from it.

Source: Zhang et al. 2025, "Reasoning Models Know When They're Right: Probing Hidden States for
Self-Verification", arXiv:2504.05419: the hidden states at an intermediate answer say whether it is
right; at a value of 0.85 or 0.9 the thought ends. Departures: there intermediate answers are found
in the thought by another model, here one is asked for every `interval` tokens, as Dynasor does
(`tts.strategies.dynasor`), at a cost that is counted; without `probe` the value of the thought
itself decides, which costs nothing, and says how it will end, not that its answer stands already.
"""

from pydantic import Field

from tts import prompts
from tts.operators.think import think
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of early exit by value."""

    n: int = Field(1, ge=1, description="trajectories, which vote if there are several")
    verifier: str = Field("head", description="verifier whose value ends a thought")
    bar: float = Field(0.9, ge=0, le=1, description="value from which on a thought is over")
    interval: int = Field(64, ge=1, description="tokens between two looks")
    probe: str | None = Field(
        prompts.PROBE,
        min_length=1,
        description="words that ask for the answer; the thought itself is valued if none",
    )
    probe_tokens: int = Field(20, ge=1, description="most tokens of the reply to a probe")
    max_thinking: int | None = Field(
        None, ge=1, description="most tokens of a thought; sampling.max_tokens if none"
    )
    answer_tokens: int = Field(256, ge=1, description="most tokens of the answer")


def build(config: Config) -> Pipeline:
    """Think in slices, look after each, answer."""
    parameters = config.model_dump(exclude={"interval"})
    thoughts = think(slice_tokens=config.interval, **parameters)
    return thoughts if config.n == 1 else thoughts >> vote()
