"""TrimR: a verifier model reads the thought beside it, and ends it where more is of no use.

Source: Lin et al. 2025, "TrimR: Verifier-based Training-Free Thinking Compression",
arXiv:2505.17155. The thought is cut at reflection words; of each part a small instruct model is
asked by the probabilities of yes and no whether it states an answer and whether that is the answer
of the part before; two equal ones in a row end the thought (over-thinking), as do many parts
without agreement late in the budget (under-thinking) and repeated text, each with a guiding phrase.

Departures: thresholds of under-thinking, reflection words, prompts and phrases are not published,
and are ours; decoding runs at most `interval` tokens ahead of the verifier and goes on from the
text that it had read, where the source puts the phrase wherever decoding has come to; the thought
is closed after the phrase in each case. The source has 7B models for verifiers.
"""

from tts.operators.trim import Trim
from tts.operators.vote import vote
from tts.pipeline import Pipeline


class Config(Trim):
    """Parameters of TrimR: those of the operator `trim`; with several trajectories they vote."""


def build(config: Config) -> Pipeline:
    """Think, be read, answer."""
    thoughts = Pipeline.of(Trim(**config.model_dump()))
    return thoughts if config.n == 1 else thoughts >> vote()
