"""Choose a branch for each trajectory, or for the problem.

With a `from`, each trajectory goes by its own measures: a vote with little support, a low score, no
answer. Without one, the problem itself is routed by its level, and both branches begin with a
source. A branch that begins with a source runs once, when the first trajectory is sent its way; the
trajectory itself then ends there. A branch that is left out passes trajectories on.

    sure = Condition(measure="support", at_least=0.9)
    sample(n=4) >> vote() >> route(when=sure, otherwise=more)

In a preset a branch is written like the body of a `loop`:

    more:
      operator: route
      from: answer
      when: {measure: support, at_least: 0.9}
      otherwise: {strategy: self_consistency, parameters: {n: 16}}
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Self

from pydantic import Field, model_validator

from tts.operators._body import Body, body_spec, reads
from tts.operators._condition import Condition
from tts.operators.base import OperatorModel, node
from tts.pipeline import Pipeline
from tts.protocols import Branch, Context, Inlet, Outlet, Spec
from tts.types import Origin, Trajectory


class Route(OperatorModel):
    """Sends trajectories into `then` where the condition holds, else into `otherwise`."""

    bodies = ("then", "otherwise")

    when: Condition = Field(
        description="condition that decides, as {measure: support, at_least: 0.9}"
    )
    then: Body | None = Field(None, description="pipeline where the condition holds")
    otherwise: Body | None = Field(None, description="pipeline where it does not")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.then is None and self.otherwise is None:
            raise ValueError("a route needs `then`, `otherwise` or both")
        if self.is_source and any(body is None or reads(body) for body in self._branches()):
            raise ValueError("by level, both branches must be given and begin with a source")
        return self

    @property
    def is_source(self) -> bool:
        """Whether the problem itself is routed."""
        return self.when.measure == "level"

    @property
    def spec(self) -> Spec:
        """What the branches take and give."""
        bodies = [body for body in self._branches() if body is not None]
        inner = body_spec(bodies, passes_on=len(bodies) == 1)
        if self.is_source:
            return replace(inner, accepts=None)
        return replace(inner, scores=tuple(sorted({*inner.scores, *self.when.scores})))

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Start each branch with the first trajectory that goes its way.

        When both branches have enough, nothing more is read.
        """
        if self.is_source:
            nothing = Trajectory("", Origin(context.node, 0, 0), "", None)
            body = self.then if self.when.holds(context.problem, nothing) else self.otherwise
            assert body is not None, "a route by level has both branches"
            await _forward(context.branch(body, name=self._name(body)), outlet)
            return
        branches: dict[str, Branch] = {}
        sated: set[str] = set()

        def close(name: str) -> None:
            sated.add(name)
            if len(sated) == len(self._branches()):
                for inlet in inputs:
                    inlet.close()

        draws_anew = any(body is not None and not reads(body) for body in self._branches())
        async with asyncio.TaskGroup() as group:
            async for trajectory in context.merge(inputs):
                holds = self.when.holds(context.problem, trajectory)
                if draws_anew:  # so the condition decides how many samples there are
                    context.stopped(f"route by {self.when.measure}")
                body = self.then if holds else self.otherwise
                context.emit("route", id=trajectory.id, holds=holds)
                if body is None:
                    outlet.send(trajectory)
                    continue
                name = self._name(body)
                if name not in branches:
                    branches[name] = context.branch(body, name=name, on_unread=partial(close, name))
                    group.create_task(_forward(branches[name], outlet))
                branches[name].send(trajectory)
            for branch in branches.values():
                branch.finish()

    def _branches(self) -> tuple[Pipeline | None, Pipeline | None]:
        return self.then, self.otherwise

    def _name(self, body: Pipeline) -> str:
        return "then" if body is self.then else "otherwise"


async def _forward(branch: Branch, outlet: Outlet) -> None:
    async for trajectory in branch.results:
        outlet.send(trajectory)


route = node(Route)
