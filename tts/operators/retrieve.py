"""Passages of a file that are like the problem, as notes for what is drawn next.

    retrieve(file="facts.txt") >> follow(n=16) >> vote()

Source: Shao et al. 2024, "Scaling Retrieval-Based Language Models with a Trillion-Token Datastore"
(MassiveDS), arXiv:2407.12854: passages found once, before the text is written, stand before it.
Departure: passages are compared by character n-grams, and not by the vectors of a model.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from tts import prompts
from tts.errors import InputError
from tts.operators.base import OperatorModel, node
from tts.passages import Passages
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Origin, Trajectory


class Retrieve(OperatorModel):
    """Sends one trajectory of notes: the nearest passages, or that there are none."""

    file: str = Field(
        description="text file with a passage on each line; of a .jsonl file, the key `text`"
    )
    passages: int = Field(3, ge=1, description="most passages that are shown")
    least: float = Field(0.2, ge=0, le=1, description="least cosine that a passage must reach")

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            self.store  # noqa: B018  read now, so that a wrong file is told before the run
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    @cached_property
    def store(self) -> Passages:
        """The file's passages."""
        return Passages(Path(self.file))

    @property
    def spec(self) -> Spec:
        """A source of notes; asks no model."""
        return Spec(accepts=None, emits="partial", max_outputs=1)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Look the problem up."""
        said = prompts.words_of(context.problem)
        near = self.store.nearest(said, least=self.least, most=self.passages)
        context.emit("retrieve", passages=len(near))
        outlet.send(
            Trajectory(
                id=f"{context.node}:0",
                origin=Origin(context.node, 0, 0),
                text="\n".join(near) or "Nothing was found.",
                finish_reason=None,
            )
        )


retrieve = node(Retrieve)
