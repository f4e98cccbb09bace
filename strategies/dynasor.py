"""Early exit by probes: a thought is closed when the answers read from it at intervals agree.

Source: Fu et al. 2024, "Efficiently Scaling LLM Reasoning Programs with Certaindex",
arXiv:2412.20993 (Dynasor): every `interval` tokens the model is asked for the answer so far, and
three equal answers in a row end the thought (2, 5 and 8 in the published code for other efforts).
A probe whose reply hesitates, or has no complete answer, counts as none; the words are looked for
as there, anywhere in the reply ("no" in "now"). Departures: probes are greedy, where the published
code draws them at temperature 0.6, and their cost is counted; the thought waits for its probe,
where there the next tokens are drawn meanwhile; at the end the answer is asked for, where there the
last probe's is written.
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
    hesitation: tuple[str, ...] = Field(
        ("wait", "hold", "but", "okay", "no", "hmm"),
        description="words in the reply to a probe that make it count as none, in any case",
    )
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
