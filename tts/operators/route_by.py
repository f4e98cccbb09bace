"""Send a problem to one of several pipelines before anything is sampled, by a fitted router.

    route_by(router=load_router(path), tiers=(Way(name="small", body=small), ...))

A tier begins with a source, and may ask another engine of the run (`delegate`). What choosing costs
is charged: an embedding like any other, the router itself with its time. Sources: see
`tts.allocation.router`, which fits routers; any object with its `choose` and `embedder` will do. In
a preset, where tiers are in the order in which the router knows them:

    answer:
      operator: route_by
      router: router.json
      tiers:
        - {name: small, body: {draft: {operator: delegate, engine: small, body: single}}}
        - {name: large, body: self_consistency}
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    model_validator,
)

from tts.allocation.router import Chooser, Router, load_router
from tts.errors import TTSError
from tts.operators._body import Body, body_spec, reads
from tts.operators.base import OperatorModel, node
from tts.pipeline import Pipeline
from tts.protocols import Context, Inlet, Outlet, Spec


def read_router(value: Any) -> Any:
    """Return the router of a file or of its values; what is neither stays as it is.

    Raises:
        ValueError: There is none.
    """
    try:
        if isinstance(value, str | Path):
            return load_router(Path(value))
        return Router.from_json(value, "router") if isinstance(value, Mapping) else value
    except TTSError as error:
        raise ValueError(str(error)) from error


def _to_json(router: Chooser) -> Any:
    return router.to_json() if isinstance(router, Router) else repr(router)


class Way(BaseModel):
    """Where a problem may be sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="what results call it")
    body: Body = Field(description="its pipeline")


class RouteBy(OperatorModel):
    """Runs the pipeline that the router chooses, and sends what it sends."""

    bodies = ("tiers.body",)

    router: Annotated[
        InstanceOf[Chooser], BeforeValidator(read_router), PlainSerializer(_to_json)
    ] = Field(description="what chooses, or the file that `tts train-router` wrote")
    tiers: tuple[Way, ...] = Field(
        min_length=1, description="where it sends, in the order in which the router knows them"
    )
    model: str = Field("", description="the only model that its own engine may run; any if empty")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(reads(body) for body in self._bodies()):
            raise ValueError("each tier must begin with a source")
        if isinstance(self.router, Router) and len(self.router.tiers) != len(self.tiers):
            known = ", ".join(tier.name for tier in self.router.tiers)
            raise ValueError(f"the router knows other tiers: {known}")
        return self

    @property
    def spec(self) -> Spec:
        """What the tiers give and need."""
        inner = body_spec(self._bodies())
        own = (self.router.embedder,) if self.router.embedder else ()
        embedders = tuple(dict.fromkeys((*own, *inner.embedders)))
        return replace(inner, accepts=None, embedders=embedders, model=self.model or inner.model)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Choose, then run the tier; closing the outlet closes it."""
        statement, vector = context.problem.statement, tuple[float, ...]()
        if isinstance(self.router, Router) and self.router.knows(statement):
            context.warn("the router was fitted to this problem, so that its choice is no forecast")
        if self.router.embedder:
            found = await context.asking(self.router.embedder).embed([statement])
            vector = tuple(float(value) for value in found.vectors[0])
        chosen = self.tiers[self.router.choose(statement, vector)]
        # How many samples there are depends on the choice, so they are no fair draw.
        context.stopped(f"routed to {chosen.name}")
        branch = context.branch(chosen.body, name=chosen.name)
        branch.finish()
        async for trajectory in branch.results:
            outlet.send(trajectory)

    def _bodies(self) -> list[Pipeline]:
        return [tier.body for tier in self.tiers]


route_by = node(RouteBy)
