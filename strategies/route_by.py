"""Route before sampling: a fitted router sends each problem to an engine and a strategy.

Sources: Tryage (Hari and Thomson 2023, arXiv:2308.11601), EllieSQL (Zhu et al. 2025,
arXiv:2503.22402), Composition of Experts (Jain et al. 2024, arXiv:2412.01868). The router is what
`tts train-router` fits to calibration runs, one for each tier. Departures: features are counted in
the prompt, with a pooled embedding where the router was given one, and no encoder is trained; what
is learnt is each tier's chance to be right, so that `price` can be moved afterwards.

Without a router every problem goes to one sample of the run's own engine.
"""

from dataclasses import replace
from typing import Annotated

from pydantic import BeforeValidator, Field, InstanceOf

from tts.allocation.router import Router, Tier
from tts.operators.route_by import Way, read_router, route_by
from tts.operators.sample import sample
from tts.parts.build import build_part
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline
from tts.strategies._base import asked_of


class Config(Parameters):
    """Parameters of routing."""

    router: Annotated[InstanceOf[Router] | None, BeforeValidator(read_router)] = Field(
        None, description="file that `tts train-router` wrote; one sample of each problem if none"
    )
    price: float | None = Field(
        None,
        ge=0,
        description="chance to be right that the dearest tier's cost is worth, in place of the "
        "router's",
    )


def build(config: Config) -> Pipeline:
    """Choose a tier, and run it."""
    router = config.router
    if router is None:
        return sample()
    if config.price is not None:
        router = replace(router, price=config.price)
    return route_by(
        router=router,
        tiers=tuple(Way(name=tier.name, body=_pipeline(tier)) for tier in router.tiers),
        model=next((tier.model for tier in router.tiers if not tier.engine), ""),
    )


def _pipeline(tier: Tier) -> Pipeline:
    return asked_of(build_part("strategy", tier.strategy, dict(tier.parameters)), tier.engine)
