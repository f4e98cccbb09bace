"""What operators share that learn from one problem of a run to the next."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from tts import prompts
from tts.errors import StoreError
from tts.operators._body import SourceBody, body_spec
from tts.operators.base import OperatorModel
from tts.parts.parameters import Parameters
from tts.protocols import Context, Outlet, Spec
from tts.storage.sealed_lines import read_lines
from tts.types import Kept, Problem, PromptOptions, Trajectory

_Thing = TypeVar("_Thing")
_Library = TypeVar("_Library", bound="Library")
STATEMENT = "statement"  # of the problem, in what is kept


class Library:
    """What is known: read line by line, in order, and shared by the problems of a run.

    Attributes:
        kept: The lines.
    """

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self._by_id: dict[str, list[int]] = defaultdict(list)
        self._by_text: dict[str, list[int]] = defaultdict(list)

    def read(self, kept: Kept) -> None:
        """Take up the next line."""
        place = len(self.kept)
        self._by_id[kept.problem].append(place)
        self._by_text[_plain(str(kept.values.get(STATEMENT, "")))].append(place)
        self.kept.append(kept)

    def own(self, problem: Problem) -> set[int]:
        """Return the places of what a problem itself has left, told by its id or its text."""
        text = _plain(prompts.words_of(problem))
        return {*self._by_id.get(problem.id, ()), *self._by_text.get(text, ())}


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

    def filled(self, library: _Library) -> _Library:
        """Return a library that has read what another run has left."""
        for kept in self.known:
            library.read(kept)
        return library

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

    async def is_learnt_from(self, context: Context, best: Trajectory | None) -> bool:
        """Return whether a problem counts as solved; answers are equal where they are to a vote."""
        if best is None or best.answer is None:
            return False
        if self.learn == "label":
            answers = context.answers()
            right = await answers.add(context.problem.reference)
            return right is not None and await answers.add(best.answer) == right
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
