"""Solve problems in order, each with solved ones that are like it as examples, or by a large model.

    examples(body=sample(n=4) >> vote(), large="big")

Source: "IC-Cache: Efficient Large Language Model Serving via In-context Caching", 2025,
arXiv:2501.12689: answered requests are kept; the nearest ones (20 by cosine, then at most five by
what they are expected to be worth, within a budget of prompt tokens) become examples of a small
model, and a contextual bandit decides between that and the large model without them.

Departures: likeness is that of character n-grams, of the problems kept by this run or `start`; an
example is worth its cosine times (1 + w) / (1 + u), where it was shown u times and w of these were
solved, in place of a trained model; the bandit is LinUCB over the examples' worth and the problem's
length, and its reward is 1 for a solved problem, less `large_price` where the large model was
asked. Examples are not written anew.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from tts import prompts
from tts.allocation.bandit import Pull, choose_arm
from tts.ngrams import NgramIndex
from tts.operators._learning import (
    STATEMENT,
    Learning,
    Lessons,
    Library,
    with_options,
    within,
)
from tts.operators._workspace import tokens_of
from tts.operators.base import node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Kept, Problem, PromptExample, PromptOptions

_FIRST = 20  # nearest problems that are looked at
_SOLUTION, _SHOWN, _SOLVED, _ARM, _FEATURES = "solution", "shown", "is_solved", "arm", "features"
_SMALL, _LARGE = 0, 1


class ExampleOptions(Lessons):
    """Which examples are shown, and when the large model is asked."""

    examples: int = Field(3, ge=1, description="most examples that are shown")
    least: float = Field(0.2, ge=0, le=1, description="least cosine that an example must reach")
    max_example_tokens: int = Field(1024, ge=1, description="most tokens of the examples shown")
    large: str = Field(
        "", description="engine that may solve a problem without examples; none if empty"
    )
    large_price: float = Field(
        0.2, ge=0, description="chance of a right answer that the large engine must add"
    )
    curiosity: float = Field(
        0.5, ge=0, description="weight of what is not known yet of either engine (alpha of LinUCB)"
    )


class Example(NamedTuple):
    """A solved problem, and what it is worth for another one."""

    problem: str
    statement: str
    solution: str
    worth: float


class Examples(ExampleOptions, Learning):
    """Shows the body's problem with examples, and keeps its solution if it was solved.

    The memory begins empty, or with `start`, and is then the run folder's `memory.jsonl`. As long
    as nothing in it is near, problems are asked as if there were none.
    """

    @property
    def spec(self) -> Spec:
        """What the body gives; the large one is an engine of the run."""
        inner = super().spec
        others = (self.large,) if self.large else ()
        return replace(inner, engines=tuple(dict.fromkeys((*inner.engines, *others))))

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Look up, choose who solves, solve, keep."""
        library, problem = context.recall(self.batch, self.library), context.problem
        said, own = prompts.words_of(problem), library.own(problem)
        near = library.nearest(said, own=own, least=self.least, most=self.examples)
        shown = await self._fitting(context, near)
        worth = math.fsum(example.worth for example in shown)
        features = (1.0, worth, math.log10(1 + len(said.split())))
        arm = self._arm(library, own, features) if self.large else _SMALL
        context.emit("examples", near=len(near), shown=len(shown), is_large=arm == _LARGE)
        if arm == _LARGE:
            shown = []
            best = await self.solve(context.asking(self.large), outlet, problem, name="large")
        else:
            best = await self.solve(context, outlet, _with_examples(problem, shown), name="small")
        if self.learn == "never":
            return
        is_solved = await self.is_learnt_from(context, best)
        solution = prompts.solution_part(best.text) if best is not None and is_solved else None
        values = {
            _SOLUTION: solution,
            _SHOWN: [example.problem for example in shown],
            _SOLVED: is_solved,
            _ARM: arm,
            _FEATURES: list(features),
        }
        self.keep(context, values)

    def library(self) -> "ExampleLibrary":
        """Return what holds all that is known."""
        return self.filled(ExampleLibrary())

    async def _fitting(self, context: Context, near: Sequence[Example]) -> list[Example]:
        """Return the examples that fit into the room for them, best first."""
        sizes = [await tokens_of(context, f"{one.statement}\n{one.solution}") for one in near]
        return list(within(near, sizes, self.max_example_tokens))

    def _arm(self, library: Library, own: Collection[int], features: Sequence[float]) -> int:
        """Return who shall solve the problem, by what came of those before it."""
        others = (kept for place, kept in enumerate(library.kept) if place not in own)
        past = [self._pull(kept.values) for kept in others if _ARM in kept.values]
        return choose_arm(past, features, arms=2, alpha=self.curiosity)

    def _pull(self, values: Mapping[str, Any]) -> Pull:
        arm, is_solved = int(values[_ARM]), bool(values[_SOLVED])
        reward = is_solved - (self.large_price if arm == _LARGE else 0.0)
        return Pull(arm, tuple(values[_FEATURES]), reward)


class ExampleLibrary(Library):
    """The same, with an index of the solved ones, and of what they were shown for."""

    def __init__(self) -> None:
        super().__init__()
        self._index = NgramIndex()
        self._solved: list[int] = []  # places, by row of the index
        self._uses, self._wins = Counter[str](), Counter[str]()

    def read(self, kept: Kept) -> None:
        """Take up the next line; one that was not solved counts against what it was shown."""
        super().read(kept)
        if kept.values.get(_SOLUTION):
            self._solved.append(len(self.kept) - 1)
            self._index.add([kept.values[STATEMENT]])
        self._uses.update(kept.values.get(_SHOWN, ()))
        self._wins.update(_won(kept))

    def nearest(self, text: str, *, own: Collection[int], least: float, most: int) -> list[Example]:
        """Return the solved problems that are worth most as examples for a text, best first.

        Args:
            text: The problem.
            own: Places that count for nothing.
            least: Least cosine.
            most: Examples at most.
        """
        without = [row for row, place in enumerate(self._solved) if place in own] if own else []
        cosines = self._index.cosines(text, without=without)
        order = [row for row in np.argsort(-cosines, kind="stable").tolist() if row not in without]
        uses = Counter(name for place in own for name in self.kept[place].values.get(_SHOWN, ()))
        wins = Counter(name for place in own for name in _won(self.kept[place]))
        near = []
        for row in order[:_FIRST]:
            kept = self.kept[self._solved[row]]
            if (cosine := float(cosines[row])) < least:
                break
            won = self._wins[kept.problem] - wins[kept.problem]
            used = self._uses[kept.problem] - uses[kept.problem]
            worth = cosine * (1 + won) / (1 + used)
            near.append(
                Example(kept.problem, kept.values[STATEMENT], kept.values[_SOLUTION], worth)
            )
        return sorted(near, key=lambda example: -example.worth)[:most]


def _won(kept: Kept) -> Sequence[str]:
    """Return what a problem was shown, if it was solved."""
    return kept.values.get(_SHOWN, ()) if kept.values.get(_SOLVED) else ()


def _with_examples(problem: Problem, shown: Sequence[Example]) -> Problem:
    """Return a problem that is asked after examples, the best one last, next to it."""
    if not shown:
        return problem
    before = (problem.prompt or PromptOptions()).examples
    own = tuple(PromptExample(one.statement, one.solution) for one in reversed(shown))
    return with_options(problem, examples=(*before, *own))


examples = node(Examples)
