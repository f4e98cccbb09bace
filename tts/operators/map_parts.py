"""Solve the sub-problems that notes list, each with a pipeline of its own, and join what they gave.

    plan(ask="decompose") >> map_parts(body=sample(n=4) >> vote()) >> follow()

In a preset the body is written like that of a `loop`, and begins with a source.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from tts import prompts
from tts.operators._body import Body, body_spec, reads
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import solve_part
from tts.types import Origin, Trajectory, Usage

_ITEM = re.compile(r"^[ \t]*\d+[.)][ \t]+(\S.*)$", re.MULTILINE)
_BOLD = re.compile(r"(?<!\w)\*\*(?=\S)(.+?)(?<=\S)\*\*(?!\w)")  # "**Find the sum:**"


class MapParts(OperatorModel):
    """Runs the body on each sub-problem of each of the notes, all at once; sends notes again.

    Sub-problems are the lines of a numbered list ("1. ..."); they share ledger, log and trace with
    the problem, and by default its text, which stands before each. What is sent lists each with the
    first solution that has an answer, or with that answer alone. Notes without a list are passed on
    as they are.
    """

    bodies = ("body",)

    body: Body = Field(description="pipeline that solves one sub-problem")
    limit: int = Field(8, ge=1, le=64, description="most sub-problems of one list")
    context: Literal["problem", "none"] = Field(
        "problem", description="what a sub-problem is shown besides: the whole problem, or nothing"
    )
    reduce: Literal["text", "answer"] = Field(
        "text",
        description="what is passed on of each: its solution without thoughts, or its answer",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if reads(self.body):
            raise ValueError("the body begins with a sub-problem, so it must begin with a source")
        return self

    @property
    def spec(self) -> Spec:
        """Partial in, partial out."""
        return replace(body_spec([self.body]), accepts="partial", emits="partial", fan_out=1)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Start on each of the notes as it arrives."""
        async with asyncio.TaskGroup() as group:
            async for notes in context.merge(inputs):
                group.create_task(self._solve_all(context, notes, outlet))

    async def _solve_all(self, context: Context, notes: Trajectory, outlet: Outlet) -> None:
        items = [
            _BOLD.sub(r"\1", item).rstrip(": \t")
            for item in _ITEM.findall(notes.text)[: self.limit]
        ]
        context.emit("map", id=notes.id, items=len(items))
        if not items:
            outlet.send(notes)
            return
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    solve_part(
                        context,
                        self.body,
                        self._statement(context, item),
                        name=f"{notes.id}.{number}",
                    )
                )
                for number, item in enumerate(items, start=1)
            ]
        solved = [task.result() for task in tasks]
        pairs = enumerate(zip(items, solved, strict=True), start=1)
        lines = [f"{number}. {item}\n{self._shown(part)}" for number, (item, part) in pairs]
        index = notes.origin.index
        outlet.send(
            Trajectory(
                id=f"{context.node}:{notes.id}",
                origin=Origin(context.node, index, notes.origin.seed),
                text="\n\n".join(lines),
                finish_reason=None,
                parents=(notes.id, *(part.id for part in solved if part is not None)),
                usage=Usage(),
            )
        )

    def _statement(self, context: Context, item: str) -> str:
        """Return a sub-problem; the whole problem first, so that all share it as a prefix."""
        return item if self.context == "none" else prompts.part(context.problem, item)

    def _shown(self, part: Trajectory | None) -> str:
        if part is None:
            return "Answer: unknown"
        solution = prompts.solution_part(part.text).strip() if self.reduce == "text" else ""
        return f"{solution}\nAnswer: {part.answer}".strip()


map_parts = node(MapParts)
