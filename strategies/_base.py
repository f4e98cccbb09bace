"""What all strategies share: validated parameters."""

from pydantic import BaseModel, ConfigDict


class StrategyConfig(BaseModel):
    """A strategy's parameters, as a preset's `parameters:` block writes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
