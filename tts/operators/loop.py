"""Repeat a pipeline until a condition holds or a limit is reached.

No barrier: a trajectory enters the next round as soon as it leaves the one before, and leaves the
loop as soon as its condition holds. What the body itself gathers (a vote, a choice among several)
it gathers per round.

    good = Condition(measure="prm", at_least=0.9)
    sample(n=4) >> loop(body=refine() >> score(verifier="prm"), until=good)

In a preset the body is a block of nodes, where those that read and have no `from` read what enters
the loop; or the name of a preset; or a strategy with its parameters:

    mend:
      operator: loop
      from: draft
      until: {measure: prm, at_least: 0.9}
      body:
        revise: {operator: refine}
        judge: {operator: score, from: revise, verifier: prm}
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from pydantic import Field, model_validator

from tts.operators._body import Body, body_spec, reads
from tts.operators._condition import Condition
from tts.operators.base import OperatorModel, node
from tts.protocols import Branch, Context, Inlet, Outlet, Spec
from tts.types import Trajectory


class Loop(OperatorModel):
    """Sends each trajectory through the body again until it may leave.

    Each round runs a fresh copy of the body, named by its number. `until` is asked of what leaves
    a round and, with `check_first`, of what comes in. What leaves the last round is sent whatever
    it is.
    """

    bodies = ("body",)

    body: Body = Field(description="pipeline that is repeated")
    rounds: int = Field(4, ge=1, le=64, description="most rounds of the body")
    until: Condition | None = Field(
        None, description="condition on which a trajectory leaves the loop"
    )
    until_single: bool = Field(False, description="stop when a round leaves a single trajectory")
    check_first: bool = Field(False, description="ask `until` of what comes in, too")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not reads(self.body):
            raise ValueError("the body reads no trajectories, so it cannot be repeated on them")
        if self.check_first and self.until is None:
            raise ValueError("check_first asks `until`, which is not given")
        return self

    @property
    def spec(self) -> Spec:
        """What the body takes and gives."""
        inner = body_spec([self.body], passes_on=self.check_first)
        asked = self.until.scores if self.until else ()
        unmade = set(asked) if self.check_first else set(asked) - set(inner.verifiers)
        return replace(inner, scores=tuple(sorted({*inner.scores, *unmade})))

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Run the rounds side by side; each is started by the first trajectory that needs it."""
        async with asyncio.TaskGroup() as group:
            first = _Round(self, context, outlet, group, inputs, number=1)
            async for trajectory in context.merge(inputs):
                if self.check_first and first.may_leave(trajectory):
                    outlet.send(trajectory)
                else:
                    first.take(trajectory)
            first.finish()


@dataclass(slots=True)
class _Round:
    loop: Loop
    context: Context
    outlet: Outlet
    group: asyncio.TaskGroup
    inputs: Sequence[Inlet]
    number: int
    branch: Branch | None = None

    def may_leave(self, trajectory: Trajectory) -> bool:
        until = self.loop.until
        return until is not None and until.holds(self.context.problem, trajectory)

    def take(self, trajectory: Trajectory) -> None:
        """Send a trajectory into this round's body."""
        if self.branch is None:
            self.branch = self.context.branch(
                self.loop.body, name=str(self.number), on_unread=self._stop_reading
            )
            self.group.create_task(self._drain(self.branch))
        self.branch.send(trajectory)

    def _stop_reading(self) -> None:
        """When the first round wants no more, nobody does."""
        for inlet in self.inputs:
            inlet.close()

    def finish(self) -> None:
        if self.branch is not None:
            self.branch.finish()

    async def _drain(self, branch: Branch) -> None:
        following = replace(self, inputs=(), number=self.number + 1, branch=None)
        waiting: list[Trajectory] = []  # the first to go on, which may be the only one
        async for trajectory in branch.results:
            if self.number == self.loop.rounds or self.may_leave(trajectory):
                self.outlet.send(trajectory)
            elif self.loop.until_single and following.branch is None and not waiting:
                waiting.append(trajectory)
            else:
                for each in (*waiting, trajectory):
                    following.take(each)
                waiting.clear()
        for trajectory in waiting:
            self.outlet.send(trajectory)
        following.finish()


loop = node(Loop)
