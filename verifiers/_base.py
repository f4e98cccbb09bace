"""What several verifiers share: the option that names another engine of the run."""

from typing import Annotated

from pydantic import Field

EngineName = Annotated[
    str, Field(description="engine of the run that is asked; the policy if empty")
]
