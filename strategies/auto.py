"""Auto: spend on each problem in proportion to what more is expected to gain.

With a policy file (`tts calibrate`) whose samples a verifier scored, it climbs a ladder: samples in
growing steps, each answer's chance to be right from votes and scores, and on while that is worth
its price; then the vote's answer or the verifier's, whichever has the better chance, or that of
another strategy (a search, say) where the policy knows it to do better on problems of such
predicted difficulty, by its lower bound and by more than it costs (`tts.operators.escalate`):
theta*(q, N) of Snell et al. 2024, arXiv:2408.03314.

Without scores it sizes self-consistency: a probe of each problem, then as many samples as it is
worth, then a vote (`tts.operators.allocate`). Without a policy a prior belief and a fixed price
decide. The allocation is that of Damani et al. 2024, "Learning How Hard to Think",
arXiv:2410.04707, with the samples so far in place of a trained predictor.

`share` is what a problem may cost on average, in the policy's unit; what the problems of a run
leave over is spent on those that follow. It saves nothing where every problem needs the same number
of samples, and it answers later than drawing all at once: batches are drawn one after the other.
"""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from tts.allocation import policy_file
from tts.allocation.policy_file import Default, LadderPart, load_policy
from tts.allocation.support import Belief
from tts.errors import InputError
from tts.operators.allocate import allocate
from tts.operators.escalate import Choice, escalate
from tts.operators.score import score
from tts.operators.vote import vote
from tts.parts.build import build_part
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline

_SAMPLE = "sample"  # as in the other strategies, so that its samples are theirs


def _read(value: Any) -> Any:
    if not isinstance(value, str | Path):
        return value
    try:
        return load_policy(Path(value))
    except InputError as error:
        raise ValueError(str(error)) from error


class Config(Parameters):
    """Parameters of auto."""

    policy: Annotated[policy_file.Policy | None, BeforeValidator(_read)] = Field(
        None, description="policy file that `tts calibrate` wrote; a prior belief if none"
    )
    share: float | None = Field(
        None, gt=0, description="what a problem may cost on average, in the unit of the policy"
    )
    price: float | None = Field(
        None, ge=0, description="least gain in accuracy per sample, in place of share"
    )
    n: int = Field(
        64, ge=1, description="most trajectories of a problem; with a share, of those calibrated on"
    )
    probe: int = Field(2, ge=1, description="trajectories before the first decision")
    batch: int = Field(1, ge=1, description="trajectories between decisions")
    verifier: str | None = Field(
        None, description="verifier whose scores weigh the votes; plain counts if none"
    )
    escalate: bool = Field(True, description="turn to the policy's other strategies where it pays")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.share is not None and self.price is not None:
            raise ValueError("give a share or a price, not both")
        if self.share is not None and self.policy is None:
            raise ValueError("a share needs a policy, which knows its price; or give a price")
        return self


def build(config: Config) -> Pipeline:
    """Allocate and vote, or climb the policy's ladder."""
    policy = config.policy
    if policy is None:
        default = Default()
        price = default.price if config.price is None else config.price
        return _vote(config, default.belief, price)
    if policy.ladder is not None and config.price is None:
        return _climb(config, policy, policy.ladder)
    price = Default().price if config.price is None else config.price
    return _vote(config, policy.belief.to_belief(), price, policy)


def _vote(
    config: Config, belief: Belief, price: float, policy: policy_file.Policy | None = None
) -> Pipeline:
    most = config.n
    if policy is not None and config.share is not None and policy.prices:
        # What a price costs is known for votes of that many samples and no more.
        most = min(most, math.ceil(max(point.samples for point in policy.prices)))
    drawn = allocate(
        n=most,
        probe=config.probe,
        batch=config.batch,
        price=price,
        share=config.share,
        unit="tokens" if policy is None else policy.unit,
        costs=() if policy is None or config.share is None else policy.costs,
        model="" if policy is None else policy.model,
        **asdict(belief),
    ).named(_SAMPLE)
    if config.verifier is None:
        return drawn >> vote()
    return drawn >> score(verifier=config.verifier) >> vote(weights=config.verifier)


def _climb(config: Config, policy: policy_file.Policy, ladder: LadderPart) -> Pipeline:
    sizes = [size for size in ladder.sizes if size <= config.n] or [config.n]
    rules = (ladder.enough,) if config.share is None else ladder.rules
    choices = [
        Choice(
            name=choice.preset,
            body=build_part("strategy", choice.strategy, choice.parameters),
            low=tuple(part.low for part in choice.bins),
            cost=tuple(part.cost for part in choice.bins),
        )
        for choice in ladder.choices
        if config.escalate
    ]
    return escalate(
        sizes=tuple(sizes),
        rules=tuple(replace(rule, weights=rule.weights[: len(sizes) - 1]) for rule in rules),
        share=config.share,
        unit=policy.unit,
        leader=ladder.leader,
        answer=ladder.answer,
        verifier=ladder.verifier,
        model=policy.model,
        edges=ladder.edges if choices else (),
        choices=tuple(choices),
    ).named(_SAMPLE)
