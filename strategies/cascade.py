"""Cascade: a few cheap samples first, and a dearer strategy only where they do not agree.

Source: Yue et al. 2023, "Large Language Model Cascades with Mixture of Thoughts Representations for
Cost-efficient Reasoning", arXiv:2310.03094: the cheap model's agreement with itself decides. The
measure is the posterior that the vote's leader wins. With `draft`, the cheap samples come from
another engine of the run (`--engine-for`, or `Runtime(engine, engines={"draft": ...})`), the dearer
ones from its own.

Departures: one kind of prompt, where the source mixes chains of thought with programs, which agree
by accident less often; agreement is all that the gate looks at, a verifier is not asked.
"""

from typing import Any

from pydantic import Field

from tts.operators._condition import Condition
from tts.operators.route import route
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.parts.build import build_part
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline
from tts.strategies._base import asked_of


class Config(Parameters):
    """Parameters of the cascade."""

    n: int = Field(4, ge=2, description="cheap samples that are drawn first")
    at_least: float = Field(
        0.9, gt=0.5, lt=1, description="support of their vote for which it stands"
    )
    draft: str = Field("", description="engine of the cheap samples; the run's own if empty")
    then: str = Field("self_consistency", description="strategy for what they do not settle")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="parameters of that strategy"
    )


def build(config: Config) -> Pipeline:
    """Sample, vote, route by support."""
    cheap = asked_of(sample(n=config.n) >> vote(), config.draft)
    settled = Condition(measure="support", at_least=config.at_least)
    dearer = build_part("strategy", config.then, config.parameters)
    return cheap >> route(when=settled, otherwise=dearer)
