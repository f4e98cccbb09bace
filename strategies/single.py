"""One sample: the baseline that every other strategy is compared with."""

from tts.operators.sample import Mode, sample
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of a single sample."""

    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Draw one trajectory; its answer is the answer."""
    return sample(mode=config.mode)
