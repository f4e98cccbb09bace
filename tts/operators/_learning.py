"""What operators share that learn from one problem of a run to the next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from tts import prompts
from tts.answers.canonical import canonical_form
from tts.errors import StoreError
from tts.operators._body import SourceBody, body_spec
from tts.operators.base import OperatorModel
from tts.parts.parameters import Parameters
from tts.protocols import Context, Outlet, Spec
from tts.storage.sealed_lines import read_lines
from tts.types import Kept, Problem, PromptOptions, Trajectory

_Thing = TypeVar("_Thing")
STATEMENT = "statement"  # of the problem, in what is kept


class Lessons(Parameters):
    """From which problems is learnt, and what is known before the first."""

    learn: Literal["support", "label", "never"] = Field(
        "support",
        description="which problems are learnt from: those whose vote has support, those whose "
        "answer is the reference's, or none",
    )
    least_support: float = Field(
        0.75, ge=0, le=1, description="least support of a vote that is learnt from"
    )
    batch: int = Field(
        1, ge=1, description="problems that run side by side, and learn from those before them"
    )
    start: str | None = Field(
        None, description="memory.jsonl of another run, known from the beginning; nothing if none"
    )

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        try:
            known = self.known  # read now, so that a wrong file is told before the run
        except (StoreError, TypeError) as error:
            raise ValueError(f"start: {error}") from error
        if self.start is not None and not known:
            raise ValueError(f"start: {self.start} is missing, or holds nothing that was learnt")
        return self

    @cached_property
    def known(self) -> tuple[Kept, ...]:
        """What another run has left."""
        lines = [] if self.start is None else read_lines(Path(self.start))
        return tuple(Kept(**line.values) for line in lines)


class Learning(Lessons, OperatorModel):
    """Solves a problem by its body, shown what problems before it have left, and leaves its own."""

    bodies = ("body",)

    body: SourceBody = Field(description="pipeline that solves the problem")

    @property
    def spec(self) -> Spec:
        """What the body gives; problems run in batches."""
        inner = body_spec([self.body])
        needs = inner.needs | {"own_prompts"}
        batch = min(self.batch, inner.batch or self.batch)
        return replace(inner, accepts=None, needs=needs, batch=batch)

    def memory(self, context: Context) -> list[Kept]:
        """Return what is known, in order; nothing of this very problem, by its id or its text."""
        own = context.problem
        said = _plain(prompts.words_of(own))
        return [
            kept
            for kept in (*self.known, *context.recall(self.batch))
            if kept.problem != own.id and _plain(str(kept.values.get(STATEMENT, ""))) != said
        ]

    async def solve(
        self, context: Context, outlet: Outlet, problem: Problem, *, name: str
    ) -> Trajectory | None:
        """Run the body on the problem as it is shown; returns the first result with an answer."""
        best: Trajectory | None = None
        async for trajectory in context.spawn(self.body, problem, name=name):
            if best is None and trajectory.answer is not None:
                best = trajectory
            outlet.send(trajectory)
        return best

    def is_learnt_from(self, problem: Problem, best: Trajectory | None) -> bool:
        """Return whether a problem counts as solved."""
        if best is None or best.answer is None:
            return False
        if self.learn == "label":
            kind, reference = problem.answer_type, problem.reference
            if reference is None:
                return False
            return canonical_form(best.answer, kind) == canonical_form(reference, kind)
        support = best.support
        return support is not None and support.probability >= self.least_support

    def keep(self, context: Context, values: Mapping[str, Any]) -> None:
        """Leave something to the problems that follow."""
        context.emit("kept", what=sorted(values))
        context.keep({STATEMENT: prompts.words_of(context.problem), **values})


def with_options(problem: Problem, **changes: Any) -> Problem:
    """Return a problem that is asked with other prompt options."""
    return replace(problem, prompt=replace(problem.prompt or PromptOptions(), **changes))


def within(things: Sequence[_Thing], sizes: Sequence[int], room: int) -> Iterator[_Thing]:
    """Yield those, in order, that still fit into the room, by their sizes."""
    for thing, size in zip(things, sizes, strict=True):
        if size <= room:
            room -= size
            yield thing


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
