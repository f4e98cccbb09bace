"""Budget forcing: a least and a most length of thinking, forced from outside.

Source: Muennighoff et al. 2025, "s1: Simple test-time scaling", arXiv:2501.19393: when the model
ends its thought too early, the tag is dropped and "Wait" is appended (1 time by default, 2 to 6 in
the ablations); at the limit the thought is closed and the answer asked for; about 100 tokens are
left for it; temperature 0. All continuations share one limit (the published evaluation harness
gives each the whole limit again). Departure: more than one sample may vote.
"""

from pydantic import Field

from tts.operators.think import think
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.strategies._base import StrategyConfig


class Config(StrategyConfig):
    """Parameters of budget forcing."""

    n: int = Field(1, ge=1, description="trajectories; more than one vote")
    waits: int = Field(1, ge=0, le=64, description="times that the end of the thought is ignored")
    wait_words: str = Field("Wait", min_length=1, description="what is appended then")
    max_thinking: int | None = Field(None, ge=1, description="tokens; sampling.max_tokens if none")
    answer_tokens: int = Field(100, ge=1, description="limit of the answer")
    lead: str = Field("Final Answer: ", description="first words of the answer")


def build(config: Config) -> Pipeline:
    """Think for as long as asked, then answer."""
    thoughts = think(
        config.n,
        max_thinking=config.max_thinking,
        waits=config.waits,
        wait_words=config.wait_words,
        answer_tokens=config.answer_tokens,
        lead=config.lead,
    )
    return thoughts if config.n == 1 else thoughts >> vote()
