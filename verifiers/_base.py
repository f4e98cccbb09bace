"""What all verifiers share: validated options, and the text that they read."""

from pydantic import BaseModel, ConfigDict


class VerifierConfig(BaseModel):
    """A verifier's options, as "name(option=value)" writes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
