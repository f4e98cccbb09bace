"""Problem to `n` trajectories that work an outline off, thinking where a step is difficult.

Source: "SCALE: Selective Resource Allocation for Overcoming Performance Bottlenecks in Mathematical
Test-time Scaling", 2025, arXiv:2512.00466.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import Field

from tts import graph_prompts, prompts
from tts.answers.exact import find_answer
from tts.operators._plainly import without_thinking
from tts.operators.base import OperatorModel, node
from tts.operators.sample import PROMPTS, Mode
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import ask, draw
from tts.types import (
    Completion,
    GenerationRequest,
    GraphFigures,
    Origin,
    Problem,
    Prompt,
    Sampling,
    Trajectory,
    Usage,
)

_TRIES = 3
_ALIKE = (
    "easy and hard steps are solved alike, but for the sampling: the model cannot be told to think "
    "or not; name two engines by easy= and hard=, or choose a model that can"
)


class SolveSteps(OperatorModel):
    """Draws `n` solutions, each: outlines, one of them chosen, its steps graded and solved in turn.

    A step above the `threshold` is solved by the hard engine with a thought, any other by the easy
    one without; so is all the planning. The last step is the question itself and always thinks. A
    step sees what was found before it. Without a readable outline the question is the only step.
    One engine serves as both; where its model cannot be told to think or not, a warning says that
    steps differ in their sampling alone.
    """

    n: int = Field(1, ge=1, description="solutions that are drawn, each with an outline of its own")
    outlines: int = Field(8, ge=1, description="outlines drawn for one solution")
    threshold: float = Field(
        0.5, description="difficulty from 0 to 1 above which a step is thought about"
    )
    context: Literal["solutions", "plan"] = Field(
        "solutions", description="what a grade sees of earlier steps: results, or their text alone"
    )
    distil: bool = Field(False, description="sum a solved step up before later ones see it")
    easy: str = Field("", description="engine that plans and solves easy steps; the run's if empty")
    hard: str = Field("", description="engine that solves difficult steps; the run's if empty")
    easy_temperature: float = Field(0.7, ge=0, description="temperature without a thought")
    easy_top_p: float = Field(0.8, gt=0, le=1, description="nucleus without a thought")

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        engines = tuple(dict.fromkeys(name for name in (self.easy, self.hard) if name))
        return Spec(
            accepts=None,
            emits="finished",
            needs=frozenset({"own_prompts"}),
            fan_out=self.n,
            engines=engines,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Work on all solutions at once, each step by step."""
        capabilities = context.asking(self.easy).engine.capabilities
        if self.easy == self.hard and not capabilities.thoughts:
            context.warn(_ALIKE)
        async with asyncio.TaskGroup() as group:
            for index in range(self.n):
                group.create_task(_Solution(context, self, index).run(outlet))


@dataclass(slots=True)
class _Solution:
    """One solution in the making.

    Attributes:
        done: Steps and what was found.
        spent: Generated tokens in a row.
    """

    context: Context
    settings: SolveSteps
    index: int
    usage: Usage = field(default_factory=Usage)
    spent: int = 0
    done: list[tuple[str, str]] = field(default_factory=list)

    async def run(self, outlet: Outlet) -> None:
        """Send what becomes of it; nothing where not one step could be drawn."""
        problem, texts = self.context.problem, list[str]()
        steps = await self._outline()
        conditions, question = await self._split()
        steps = [*steps[:-1], question]
        last: Completion | None = None
        for number, step in enumerate(steps, start=1):
            is_last = number == len(steps)
            difficulty = 1.0 if is_last else await self._grade(number, steps, step)
            thinks = is_last or difficulty > self.settings.threshold
            self.context.emit(
                "mode", index=self.index, step=number, difficulty=difficulty, thinks=thinks
            )
            part = graph_prompts.as_step(problem, conditions, self.done, step)
            drawn = await self._solve(part, f"step {number}", thinks=thinks)
            if drawn is None:
                last = None if last is None else replace(last, finish_reason="length")
                break
            last = drawn
            texts.append(f"{step}\n{drawn.text.strip()}")
            if drawn.finish_reason == "error":
                break
            found = prompts.without_thought(drawn.text).strip()
            self.done.append((step, await self._distilled(number, step, found, is_last=is_last)))
        if last is not None:
            self._send(outlet, last, texts, is_whole=len(self.done) == len(steps))

    async def _outline(self) -> list[str]:
        """Return the steps; one, which is the question's place, where there is no outline."""
        context, versions, longest = self.context, list[list[str]](), 0
        taken: list[Completion] = []
        seed = context.seed(f"{self.index}/outline")
        request = GenerationRequest(
            self._plainly(graph_prompts.outline(context.problem)),
            self._sampling(thinks=False),
            n=self.settings.outlines,
            seed=seed,
        )
        await draw(context.asking(self.settings.easy), request, taken.append)
        for drawn in sorted(taken, key=lambda one: one.index):
            self.usage = self.usage + drawn.usage
            longest = max(longest, drawn.usage.generated_tokens or 0)
            if drawn.finish_reason != "error" and (
                steps := graph_prompts.parse_outline(drawn.text)
            ):
                versions.append(steps)
        self.spent += longest
        if not versions:
            context.warn("no outline could be read; the problem is solved in one step")
            return [""]
        return versions[await self._chosen(versions)]

    async def _chosen(self, versions: list[list[str]]) -> int:
        if len(versions) == 1:
            return 0
        prompt = graph_prompts.choose_outline(self.context.problem, versions)
        for number in range(_TRIES):
            reply = await self._easily(prompt, f"choose {number}")
            if reply is None:
                break
            place = graph_prompts.parse_version(reply, len(versions))
            if place is not None:
                return place
        return graph_prompts.usual_version(versions)

    async def _split(self) -> tuple[str, str]:
        """Return conditions and question; the problem as both where they cannot be read."""
        problem = self.context.problem
        for number in range(_TRIES):
            reply = await self._easily(graph_prompts.split(problem), f"split {number}")
            if reply is None:
                break
            parts = graph_prompts.parse_split(reply)
            if parts is not None:
                return parts
        return prompts.words_of(problem), prompts.words_of(problem)

    async def _grade(self, number: int, steps: list[str], step: str) -> float:
        """Return how difficult a step is; 1 where that cannot be had."""
        done = self.done
        if self.settings.context == "plan":
            done = [(earlier, "") for earlier in steps[: number - 1]]
        prompt = graph_prompts.grade_step(self.context.problem, done, step)
        for attempt in range(_TRIES):
            reply = await self._easily(prompt, f"grade {number}.{attempt}", max_tokens=64)
            if reply is None:
                break
            grade = graph_prompts.parse_share(reply)
            if grade is not None:
                return grade
        return 1.0

    async def _distilled(self, number: int, step: str, found: str, *, is_last: bool) -> str:
        if is_last or not self.settings.distil:
            return found
        prompt = graph_prompts.distil_step(self.context.problem, step, found)
        return await self._easily(prompt, f"distil {number}") or found

    async def _easily(
        self, prompt: Prompt, label: str, *, max_tokens: int | None = None
    ) -> str | None:
        """Return what the easy engine replies without a thought; None where it cannot be had."""
        sampling = self._sampling(thinks=False)
        if max_tokens is not None:
            sampling = replace(sampling, max_tokens=min(max_tokens, sampling.max_tokens))
        drawn = await self._ask(self._plainly(prompt), label, sampling, thinks=False)
        if drawn is None or drawn.finish_reason == "error":
            return None
        return prompts.without_thought(drawn.text).strip()

    async def _solve(self, part: Problem, label: str, *, thinks: bool) -> Completion | None:
        knows = self._engine(thinks=thinks).engine.capabilities.thoughts
        mode: Mode = "solve" if not knows else "thinking" if thinks else "no_thinking"
        return await self._ask(
            PROMPTS[mode](part), label, self._sampling(thinks=thinks), thinks=thinks
        )

    async def _ask(
        self, prompt: Prompt, label: str, sampling: Sampling, *, thinks: bool
    ) -> Completion | None:
        seed = self.context.seed(f"{self.index}/{label}")
        drawn = await ask(self._engine(thinks=thinks), prompt, seed=seed, sampling=sampling)
        if drawn is not None:
            self.usage = self.usage + drawn.usage
            self.spent += drawn.usage.generated_tokens or 0
        return drawn

    def _engine(self, *, thinks: bool) -> Context:
        return self.context.asking(self.settings.hard if thinks else self.settings.easy)

    def _plainly(self, prompt: Prompt) -> Prompt:
        return without_thinking(prompt, self._engine(thinks=False).engine)

    def _sampling(self, *, thinks: bool) -> Sampling:
        if thinks:
            return self.context.sampling
        return replace(
            self.context.sampling,
            temperature=self.settings.easy_temperature,
            top_p=self.settings.easy_top_p,
        )

    def _send(self, outlet: Outlet, last: Completion, texts: list[str], *, is_whole: bool) -> None:
        context = self.context
        answer = find_answer(last.text, context.problem) if is_whole else None
        name = f"{context.node}:{self.index}"
        outlet.send(
            Trajectory(
                id=name,
                origin=Origin(context.node, self.index, context.seed(str(self.index))),
                text="\n\n".join(texts),
                finish_reason=last.finish_reason,
                answer=answer,
                usage=self.usage,
                error=last.error,
            )
        )
        context.worked_off(GraphFigures(name, tasks=len(self.done), sequential_tokens=self.spent))


solve_steps = node(SolveSteps)
