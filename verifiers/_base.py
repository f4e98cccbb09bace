"""What all verifiers share: validated options."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

EngineName = Annotated[
    str, Field(description="engine of the run that is asked; the policy if empty")
]


class VerifierConfig(BaseModel):
    """A verifier's options, as "name(option=value)" writes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
