"""iSelf-Discover: choose ways of reasoning, fit them to the problem, plan, and follow the plan.

Source: Zhou et al. 2024, "Self-Discover: Large Language Models Self-Compose Reasoning Structures",
arXiv:2402.03620, in the instance-level form of github.com/sachith-gunasekara/self-discover: select,
adapt, plan and apply for each problem, 4 requests; a plain plan did better there than JSON keys.
Departures: our own list of ways of reasoning, shorter than the 39 of the source; no examples are
shown; a structure is shown to the last step as text, so that invalid JSON breaks nothing.
"""

from typing import Literal

from pydantic import Field

from tts.operators.follow import follow
from tts.operators.plan import plan
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of iSelf-Discover."""

    n: int = Field(
        1, ge=1, description="solutions that follow the plan, which vote if there are several"
    )
    structure: Literal["plan", "structure"] = Field(
        "plan", description="form of the plan: plain text, or JSON keys"
    )


def build(config: Config) -> Pipeline:
    """Select, adapt, plan, apply."""
    solutions = (
        plan(ask="select") >> plan(ask="adapt") >> plan(ask=config.structure) >> follow(n=config.n)
    )
    return solutions if config.n == 1 else solutions >> vote()
