"""Auto: a probe of each problem, then as many samples as it is worth, then a vote.

With a policy file (`tts calibrate`) the belief about the model is fitted and `share` is what a
problem may cost on average: generated tokens, or samples where the policy counts no tokens. Without
one, a prior belief and a fixed price decide. The allocation is that of Damani et al. 2024,
"Learning How Hard to Think", arXiv:2410.04707, with the votes so far in place of a trained
predictor; `tts.budget.allocator` says how.

With `verifier`, the samples are also scored and vote with their scores; how many are drawn is still
decided by counting. It saves nothing where every problem needs the same number of samples, and it
answers later than drawing all at once: batches are drawn one after the other.
"""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from tts.budget.policy import Default, load_policy
from tts.errors import InputError
from tts.operators.allocate import allocate
from tts.operators.score import score
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.strategies._base import StrategyConfig


class Config(StrategyConfig):
    """Parameters of auto."""

    policy: str = Field("", description="file that `tts calibrate` wrote; a prior if none")
    share: float | None = Field(None, gt=0, description="mean cost of a problem; needs a policy")
    price: float | None = Field(None, ge=0, description="least gain per sample, in place of share")
    n: int = Field(64, ge=1, description="most trajectories")
    probe: int = Field(2, ge=1, description="trajectories before the first decision")
    batch: int = Field(1, ge=1, description="trajectories between decisions")
    verifier: str | None = Field(None, description="whose scores weigh the votes; counts if none")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.share is not None and self.price is not None:
            raise ValueError("give a share or a price, not both")
        if self.share is not None and not self.policy:
            raise ValueError("a share needs a policy, which knows its price; or give a price")
        if self.policy:
            try:
                load_policy(Path(self.policy))
            except InputError as error:
                raise ValueError(str(error)) from error
        return self


def build(config: Config) -> Pipeline:
    """Allocate, vote."""
    default = Default()
    belief, price, model = default.belief, default.price, ""
    if config.policy:
        policy = load_policy(Path(config.policy))
        belief, model = policy.belief.to_belief(), policy.model
        if config.share is not None:
            price = policy.price_for(config.share)
    drawn = allocate(
        belief,
        n=config.n,
        probe=config.probe,
        batch=config.batch,
        price=price if config.price is None else config.price,
        model=model,
    )
    if config.verifier is None:
        return drawn >> vote()
    return drawn >> score(config.verifier) >> vote(weights=config.verifier)
