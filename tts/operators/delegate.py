"""Run a pipeline on another engine of the run: a draft model before the target model, say.

    drafts = delegate(body=sample(n=4) >> vote(), engine="draft")
    drafts >> route(when=sure, otherwise=more)

Budgets, log and trace are shared; each request is counted as its own engine's, so that FLOPs and
dollars are those of the model that generated.
"""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from tts.operators._body import SourceBody, body_spec
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec


class Delegate(OperatorModel):
    """Sends what the body sends; the body begins with a source."""

    bodies = ("body",)

    body: SourceBody = Field(description="pipeline that asks the other engine")
    engine: str = Field(
        description="name of the other engine in the run; the one asked so far if empty"
    )

    @property
    def spec(self) -> Spec:
        """What the body gives; its needs are the other engine's to meet."""
        inner = body_spec([self.body])
        if not self.engine:
            return replace(inner, accepts=None)
        engines = tuple(dict.fromkeys((self.engine, *inner.engines)))
        return replace(inner, accepts=None, needs=frozenset(), model="", engines=engines)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Run the body; closing the outlet closes it."""
        branch = context.branch(self.body, name=self.engine or "own", engine=self.engine)
        branch.finish()
        async for trajectory in branch.results:
            outlet.send(trajectory)


delegate = node(Delegate)
