"""TrimR: ends thoughts that have settled on an answer, or that repeat themselves.

Source: Lin et al. 2025, "TrimR: Verifier-based Training-Free Thinking Compression",
arXiv:2505.17155: the thought ends when the answer has stayed the same twice in a row (M = 2, so
three equal ones), or when text repeats. Departures: the model itself is asked for the answer so far
at fixed intervals, where the source has a second model read the thoughts between reflection words
and compare their answers; the rule against fruitless switching between approaches is left out, as
its thresholds are not published.
"""

from pydantic import Field

from tts import prompts
from tts.operators.think import think
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of TrimR."""

    n: int = Field(1, ge=1, description="trajectories, which vote if there are several")
    interval: int = Field(128, ge=1, description="tokens between two looks at a thought")
    unchanged: int = Field(2, ge=1, description="times in a row that the answer stays the same")
    max_repeats: int = Field(3, ge=2, description="equal paragraphs that end the thought")
    probe: str = Field(prompts.PROBE, min_length=1, description="words that ask for the answer")
    probe_tokens: int = Field(20, ge=1, description="most tokens of the reply to a probe")
    answer_tokens: int = Field(256, ge=1, description="most tokens of the answer")


def build(config: Config) -> Pipeline:
    """Think in slices, look after each, answer."""
    thoughts = think(
        n=config.n,
        slice_tokens=config.interval,
        probe=config.probe,
        probe_tokens=config.probe_tokens,
        agree=config.unchanged + 1,
        max_repeats=config.max_repeats,
        answer_tokens=config.answer_tokens,
    )
    return thoughts if config.n == 1 else thoughts >> vote()
