"""Early exit by probes: a thought is closed when the answers read from it at intervals agree.

Source: Fu et al. 2024, "Efficiently Scaling LLM Reasoning Programs with Certaindex",
arXiv:2412.20993 (Dynasor): every `interval` tokens the model is asked for the answer so far, and
three equal answers in a row end the thought. Probes are greedy, cost at most `probe_tokens`, and
are counted. Departure: the words of hesitation that void a probe in the published code are not
looked for; a probe without a complete answer counts as none.
"""

from pydantic import Field

from tts import prompts
from tts.operators.think import think
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of early exit by probes."""

    n: int = Field(1, ge=1, description="trajectories, which vote if there are several")
    interval: int = Field(64, ge=1, description="tokens between two probes")
    agree: int = Field(3, ge=1, description="equal answers in a row that end the thought")
    probe: str = Field(prompts.PROBE, min_length=1, description="words that ask for the answer")
    probe_tokens: int = Field(20, ge=1, description="most tokens of the reply to a probe")
    max_thinking: int | None = Field(
        None, ge=1, description="most tokens of a thought; sampling.max_tokens if none"
    )
    answer_tokens: int = Field(256, ge=1, description="most tokens of the answer")
    max_repeats: int | None = Field(
        None, ge=2, description="equal paragraphs that end the thought, too; never if none"
    )


def build(config: Config) -> Pipeline:
    """Think in slices, probe after each, answer."""
    parameters = config.model_dump(exclude={"interval"})
    thoughts = think(slice_tokens=config.interval, **parameters)
    return thoughts if config.n == 1 else thoughts >> vote()
