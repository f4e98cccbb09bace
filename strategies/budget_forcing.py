"""Budget forcing: a least and a most length of thinking, forced from outside.

Source: Muennighoff et al. 2025, "s1: Simple test-time scaling", arXiv:2501.19393: when the model
ends its thought too early, the tag is dropped and "Wait" is appended (1 time by default, 2 to 6 in
the ablations); at the limit the thought is closed and the answer asked for; about 100 tokens are
left for it; temperature 0. All continuations share one limit (the published evaluation harness
gives each the whole limit again). Departures: more than one sample may vote, and with `probe_every`
a thought ends early where probes agree, as in `dynasor`.
"""

from pydantic import Field

from tts import prompts
from tts.operators.think import think
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of budget forcing."""

    n: int = Field(1, ge=1, description="trajectories, which vote if there are several")
    waits: int = Field(1, ge=0, le=64, description="times that the end of the thought is ignored")
    wait_words: str = Field(
        "Wait", min_length=1, description="words that are appended where an end is ignored"
    )
    max_thinking: int | None = Field(
        None, ge=1, description="most tokens of a thought; sampling.max_tokens if none"
    )
    answer_tokens: int = Field(100, ge=1, description="most tokens of the answer")
    lead: str = Field("Final Answer:", description="first words of the answer")
    probe_every: int | None = Field(
        None, ge=1, description="tokens between probes for the answer; none are made if null"
    )
    agree: int = Field(3, ge=1, description="equal probes in a row that end the thought")


def build(config: Config) -> Pipeline:
    """Think for as long as asked, then answer."""
    probe = prompts.PROBE if config.probe_every else None
    parameters = config.model_dump(exclude={"probe_every"})
    thoughts = think(slice_tokens=config.probe_every, probe=probe, **parameters)
    return thoughts if config.n == 1 else thoughts >> vote()
