"""Run a pipeline on another engine of the run: a draft model before the target model, say.

    drafts = delegate(body=sample(n=4) >> vote(), engine="draft")
    drafts >> route(when=sure, otherwise=more)

Budgets, log and trace are shared; each request is counted as its own engine's, so that FLOPs and
dollars are those of the model that generated.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from pydantic import Field, model_validator

from tts.operators._body import Body, body_spec, reads
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec


class Delegate(OperatorModel):
    """Sends what the body sends; the body begins with a source."""

    bodies = ("body",)

    body: Body = Field(description="pipeline that asks the other engine")
    engine: str = Field(min_length=1, description="name of the other engine in the run")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if reads(self.body):
            raise ValueError("the body must begin with a source")
        return self

    @property
    def spec(self) -> Spec:
        """What the body gives; its needs are the other engine's to meet."""
        inner = body_spec([self.body])
        engines = tuple(dict.fromkeys((self.engine, *inner.engines)))
        return replace(inner, accepts=None, needs=frozenset(), model="", engines=engines)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Run the body; closing the outlet closes it."""
        branch = context.branch(self.body, name=self.engine, engine=self.engine)
        branch.finish()
        async for trajectory in branch.results:
            outlet.send(trajectory)


delegate = node(Delegate)
