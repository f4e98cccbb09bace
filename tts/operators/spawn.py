"""Problem to `n` trajectories whose text starts children, waits for them and goes on with results.

Source: Pan et al. 2025, "Learning Adaptive Parallel Reasoning with Language Models",
arXiv:2504.15466. A child sees nothing of its parent but the state from which it starts, and neither
its siblings; what the parent sees of a child is its result. Children start none of their own. How
calls and results are written is a wire (`_wires`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import Field

from tts.answers.exact import find_answer
from tts.errors import ProblemError
from tts.operators._plainly import without_thinking
from tts.operators._wires import WIRES, Call, Wire, WireError
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import ask, num_generated, of_several
from tts.types import Completion, GraphFigures, Prompt, Usage

_MOST_CALLS = 16  # of a text that was told no number


class Spawn(OperatorModel):
    """Draws `n` trajectories, each of which calls children as often as its text says so.

    `sampling.max_tokens` is what the parent draws at most, all of its parts together; where a
    server counts no tokens, three characters of a part are taken for one. A call that cannot be
    read, or one too many, ends the text with what it has.
    """

    n: int = Field(1, ge=1, description="trajectories that are drawn")
    wire: Literal["search", "tasks"] = Field(
        "tasks",
        description="search: the published format, for countdown and models trained on it; "
        "tasks: sub-problems in words",
    )
    calls: int | None = Field(
        None, ge=0, description="times that a text may call, which it is told; none says nothing"
    )
    max_children: int = Field(16, ge=1, description="most children of a call")
    child_tokens: int = Field(4096, ge=1, description="most tokens of a child")

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        needs = frozenset({"own_prompts"})
        return Spec(accepts=None, emits="finished", needs=needs, fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Write all texts at once; a problem that the wire cannot put is a warning."""
        try:
            WIRES[self.wire].parent(context.problem, "", self.calls)
        except ProblemError as error:
            context.warn(str(error))
            return
        async with asyncio.TaskGroup() as group:
            for index in range(self.n):
                parent = _Parent(self, context, WIRES[self.wire], index)
                group.create_task(parent.run(outlet))


@dataclass(slots=True)
class _Parent:
    """One trajectory in the making.

    Attributes:
        settings: The operator.
        context: Of the node.
        wire: How calls and results are written.
        index: Of the trajectory.
        text: What it has, results in place of calls.
        usage: Of all requests.
        drawn: Tokens of the parent.
        waited: Tokens of the slowest children, call by call.
        longest: Tokens of the longest text, a child's or its own; None where nobody counted.
        calls: That were joined.
        children: That were started: whether each had a result.
        seconds: Of all children, one after the other, less those in which any of them ran.
        last: Completion of which the trajectory tells how it ended.
        error: Why it could not go on.
    """

    settings: Spawn
    context: Context
    wire: Wire
    index: int
    text: str = ""
    usage: Usage = field(default_factory=Usage)
    drawn: int = 0
    waited: int = 0
    longest: int | None = 0
    calls: int = 0
    children: list[bool] = field(default_factory=list)
    seconds: float = 0.0
    last: Completion | None = None
    error: str | None = None

    async def run(self, outlet: Outlet) -> None:
        """Write, call and join until the text has ended, then send it."""
        clock = asyncio.get_running_loop()
        begin = clock.time()
        while await self._write():
            try:
                calls = self._read_calls()
            except WireError as error:
                self.context.warn(f"{self.context.node}:{self.index} ends early: {error}")
                break
            await self._call(calls)
        if self.last is not None:
            self._send(outlet, self.last, clock.time() - begin)

    async def _write(self) -> bool:
        """Have the parent go on; returns whether it has called."""
        while (left := self.context.sampling.max_tokens - self.drawn) > 0:
            prompt = self.wire.parent(self.context.problem, self.text, self.settings.calls)
            part = await self._ask(prompt, f"{self.index}/{self.calls}/{self.drawn}", left)
            if part is None:
                return False
            self.last = part
            self.drawn += num_generated(part)
            self.text += part.text
            if part.finish_reason == "error":
                self.error = part.error
                return False
            if part.stop_string == self.wire.ends:
                self.text += self.wire.ends
                return True
            if part.stop_string != self.wire.joins:
                return False
            self.text += self.wire.opens  # results are not for it to write: it calls, as published
        return False

    async def _ask(self, prompt: Prompt, name: str, most: int) -> Completion | None:
        context, wire = self.context, self.wire
        if prompt.messages:
            prompt = without_thinking(prompt, context.engine)
        stop = (*context.sampling.stop, wire.ends, wire.joins)
        sampling = replace(context.sampling, max_tokens=most, stop=stop)
        made = await ask(context, prompt, seed=context.seed(name), sampling=sampling)
        if made is not None:
            self.usage = self.usage + made.usage
            self._see(made)
        return made

    def _see(self, made: Completion) -> None:
        prompt = made.usage.prompt_tokens
        if prompt is None or self.longest is None:
            self.longest = None
        else:
            self.longest = max(self.longest, prompt + num_generated(made))

    def _read_calls(self) -> list[Call]:
        allowed = _MOST_CALLS if self.settings.calls is None else self.settings.calls
        if self.calls >= allowed:
            raise WireError(f"it calls once more than the {allowed} times that it may")
        calls = self.wire.calls(self.context.problem, self.text)
        if len(calls) > self.settings.max_children:
            raise WireError(f"it calls {len(calls)} children; at most {self.settings.max_children}")
        return calls

    async def _call(self, calls: Sequence[Call]) -> None:
        """Run the children of a call, all at once, and put what they found into the text."""
        clock = asyncio.get_running_loop()
        begin = clock.time()
        number = self.calls
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._child(call, f"{self.index}/{number}/child {place}", begin))
                for place, call in enumerate(calls)
            ]
        self.seconds -= clock.time() - begin
        made = [task.result() for task in tasks]
        found = [self._found(call, one) for call, one in zip(calls, made, strict=True)]
        self.text = self.wire.join(self.text, calls, found)
        self.calls += 1
        self.waited += max(map(num_generated, made))
        self.children += [one is not None for one in found]

    async def _child(self, call: Call, name: str, begin: float) -> Completion | None:
        prompt = self.wire.child(self.context.problem, call)
        made = await self._ask(prompt, name, self.settings.child_tokens)
        self.seconds += asyncio.get_running_loop().time() - begin
        return made

    def _found(self, call: Call, made: Completion | None) -> str | None:
        if made is None or made.finish_reason == "error":
            return None
        return self.wire.found(self.context.problem, call, made.text)

    def _send(self, outlet: Outlet, last: Completion, seconds: float) -> None:
        text = self.wire.finished(self.context.problem, self.text)
        trajectory = of_several(
            self.context,
            last,
            index=self.index,
            text=text,
            usage=self.usage,
            answer=find_answer(text, self.context.problem),
            error=self.error,
        )
        outlet.send(trajectory)
        self.context.worked_off(
            GraphFigures(
                trajectory=trajectory.id,
                tasks=len(self.children),
                failed=self.children.count(False),
                seconds=seconds,
                task_seconds=seconds + self.seconds,
                critical_seconds=seconds,
                sequential_tokens=self.drawn + self.waited,
                context_tokens=self.longest,
            )
        )


spawn = node(Spawn)
