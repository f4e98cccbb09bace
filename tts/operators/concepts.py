"""Solve problems in order, each with what those before it taught as hints.

    concepts(body=sample(n=4) >> vote())

Source: "ArcMemo: Abstract Reasoning Composition with Lifelong LLM Memory", 2025, arXiv:2509.04439:
what solved problems teach is written as named concepts; a model reads the memory and selects those
that are shown before the next problem; a memory that goes on being written is better than a frozen
one. Departures: prompts are ours; the solution itself is abstracted, without pseudocode of it in
between; few concepts are all shown, without a question; no attempts with feedback, which are a
body's business.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pydantic import Field

from tts import prompts
from tts.concepts import Concept, merge, named_in, parse_concepts
from tts.operators._learning import Learning, Lessons, Library, with_options, within
from tts.operators._workspace import tokens_of
from tts.operators.base import node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import ask
from tts.types import Kept, Trajectory

_CONCEPTS = "concepts"


class ConceptOptions(Lessons):
    """How concepts are chosen and written."""

    hints: int = Field(5, ge=1, description="most concepts that are shown")
    max_hint_tokens: int = Field(1024, ge=1, description="most tokens of the concepts shown")
    author: str = Field(
        "", description="engine that selects and writes concepts; the run's own if empty"
    )


class Concepts(ConceptOptions, Learning):
    """Shows the body's problem with hints, and writes down what a solved one teaches.

    The memory begins empty, or with `start`, and is then the run folder's `memory.jsonl`. As long
    as it is empty, problems are asked as if there were none.
    """

    @property
    def spec(self) -> Spec:
        """What the body gives; the author is an engine of the run."""
        inner = super().spec
        authors = (self.author,) if self.author else ()
        return replace(inner, engines=tuple(dict.fromkeys((*inner.engines, *authors))))

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Select, solve, write."""
        problem, library = context.problem, context.recall(self.batch, self.library)
        own = library.own(problem)
        others = (kept for place, kept in enumerate(library.kept) if place not in own)
        known = merge(_concepts_of(others))
        if shown := await self._hints(context, known):
            notes = "\n".join([prompts.HINTS, *shown])
            problem = with_options(problem, notes=notes)
        context.emit("hints", known=len(known), shown=len(shown))
        best = await self.solve(context, outlet, problem, name="solve")
        if self.learn != "never" and best and await self.is_learnt_from(context, best):
            written = await self._write(context, best, known)
            self.keep(context, {_CONCEPTS: [concept.to_mapping() for concept in written]})

    def library(self) -> Library:
        """Return what holds all that is known."""
        return self.filled(Library())

    async def _hints(self, context: Context, known: Sequence[Concept]) -> list[str]:
        """Return the concepts that are shown; a model selects where they are too many for all."""
        chosen = list(known)
        if len(known) > self.hints:
            listed = [f"- {concept.name}: {concept.description}" for concept in known]
            prompt = prompts.select_concepts(context.problem, listed, self.hints)
            said = await ask(context.asking(self.author), prompt, seed=context.seed("select"))
            text = "" if said is None else prompts.without_thought(said.text)
            chosen = named_in(text, known, self.hints)
        texts = [str(concept) for concept in chosen]
        sizes = [await tokens_of(context, text) for text in texts]
        return list(within(texts, sizes, self.max_hint_tokens))

    async def _write(
        self, context: Context, best: Trajectory, known: Sequence[Concept]
    ) -> list[Concept]:
        """Return what a solution teaches; nothing, with a warning, where it cannot be read."""
        solution = prompts.solution_part(best.text)
        names = [concept.name for concept in known]
        prompt = prompts.write_concepts(context.problem, solution, names)
        said = await ask(context.asking(self.author), prompt, seed=context.seed("write"))
        text = "" if said is None else prompts.without_thought(said.text)
        written = parse_concepts(text)
        if not written:
            context.warn("what the solution teaches could not be read; nothing is learnt from it")
        return written


def _concepts_of(memory: Iterable[Kept]) -> list[Concept]:
    entries = (entry for kept in memory for entry in kept.values.get(_CONCEPTS, ()))
    made = (Concept.of(entry) for entry in entries)
    return [concept for concept in made if concept is not None]


concepts = node(Concepts)
