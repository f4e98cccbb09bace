"""Problem to `n` trajectories that fork where their text says so, and join again.

Source: Yang et al. 2025, "Multiverse: Your Language Models Secretly Decide How to Parallelize and
Merge Generation", arXiv:2506.09991. A text opens a block, names its goals, and each goal is then
written as a path of its own, all of them at once and none in view of another; the text goes on with
all paths before it:

    <Parallel><Goal><Outline>1: ...</Outline><Outline>2: ...</Outline></Goal>
    <Path>1: ...</Path><Path>2: ...</Path><Conclusion>...</Conclusion></Parallel>

All requests are token ids that begin with everything before the block, whose KV blocks the engine
finds; a path within a path may fork again. A block that cannot be read (one outline, too many, no
numbers, too deep) is not forked: its text goes on as any other. In an engine without attention made
for it the positions of a path differ before and after the join, so that all paths but the first are
read again for the conclusion: what that costs is in `cached_tokens`.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydantic import Field

from tts import graph_prompts
from tts.answers.exact import find_answer
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import ask, draw, num_generated
from tts.types import (
    Completion,
    FinishReason,
    GenerationRequest,
    GraphFigures,
    Origin,
    Prompt,
    Sampling,
    Trajectory,
    Usage,
)

_GOAL_END, _PATH_END = "</Goal>", "</Path>"
_GOALS = re.compile(r"\s*<Goal>((?:(?!</Goal>).)*)</Goal>", re.DOTALL)
_OUTLINE = re.compile(r"<Outline>\s*(\d+)\s*:\s*(.*?)\s*</Outline>", re.DOTALL)


class ParallelBlocks(OperatorModel):
    """Draws `n` trajectories, each of which forks as often as its text opens a block.

    `sampling.max_tokens` limits the longest chain of a trajectory, not all of its paths together.
    """

    n: int = Field(1, ge=1, description="trajectories that are drawn")
    max_depth: int = Field(2, ge=1, le=8, description="blocks within each other that fork")
    max_paths: int = Field(8, ge=2, le=64, description="most paths of a block that forks")
    path_tokens: int = Field(512, ge=1, description="most tokens of a path, those within it too")

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        needs = frozenset({"own_prompts", "token_ids"})
        return Spec(accepts=None, emits="finished", needs=needs, fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw all beginnings from one shared prefill; go on with each as it arrives."""
        prompt, seed = graph_prompts.solve_in_blocks(context.problem), context.seed()
        sampling = replace(context.sampling, stop=(*context.sampling.stop, _GOAL_END))
        request = GenerationRequest(prompt, sampling, n=self.n, seed=seed)
        async with asyncio.TaskGroup() as group:

            def take(first: Completion) -> None:
                group.create_task(self._go_on(context, first, seed + first.index, outlet))

            await draw(context, request, take)

    async def _go_on(self, context: Context, first: Completion, seed: int, outlet: Outlet) -> None:
        clock = asyncio.get_running_loop()
        begin, name = clock.time(), f"{context.node}:{first.index}"
        writer = _Writer(context, self, str(first.index))
        chain = _Chain(first.prompt_token_ids)
        await writer.write(chain, first, left=context.sampling.max_tokens, depth=0)
        is_error = chain.finish_reason == "error"
        outlet.send(
            Trajectory(
                id=name,
                origin=Origin(context.node, first.index, seed),
                text=chain.text,
                finish_reason=chain.finish_reason,
                prompt_token_ids=first.prompt_token_ids,
                token_ids=chain.token_ids[len(first.prompt_token_ids) :],
                answer=None if is_error else find_answer(chain.text, context.problem),
                usage=writer.usage,
                error=chain.error,
            )
        )
        seconds = clock.time() - begin
        context.worked_off(
            GraphFigures(
                trajectory=name,
                tasks=writer.paths,
                failed=writer.unread,
                seconds=seconds,
                task_seconds=seconds - writer.forked_seconds + writer.seconds,
                critical_seconds=seconds,
                sequential_tokens=chain.spent,
            )
        )


@dataclass(slots=True)
class _Chain:
    """A text in the making.

    Attributes:
        token_ids: All of it, the prompt first.
        text: What was written after the prompt, or after the opening of a path.
        spent: Generated tokens on its longest chain.
        finish_reason: How its last request ended.
        error: What went wrong, if anything.
        is_marked: It ended with the mark of its end.
    """

    token_ids: tuple[int, ...]
    text: str = ""
    spent: int = 0
    finish_reason: FinishReason = "length"
    error: str | None = None
    is_marked: bool = False


@dataclass(slots=True)
class _Writer:
    """Writes one trajectory, and sums up what that costs.

    Attributes:
        paths: Written so far.
        unread: Blocks that could not be read, or were not to be forked.
        seconds: Of all paths, one after the other.
        forked_seconds: During which paths were written.
    """

    context: Context
    settings: ParallelBlocks
    name: str
    usage: Usage = field(default_factory=Usage)
    paths: int = 0
    unread: int = 0
    seconds: float = 0.0
    forked_seconds: float = 0.0
    requests: int = 0

    async def write(
        self, chain: _Chain, drawn: Completion | None, *, left: int, depth: int, end: str = ""
    ) -> None:
        """Go on with a text to its end, and fork where it says so.

        Args:
            chain: What there is; grows.
            drawn: What was written next; None where nothing could be had.
            left: Most tokens of its longest chain.
            depth: Blocks around it.
            end: What ends it besides the end of the sequence.
        """
        while drawn is not None:
            self.usage = self.usage + drawn.usage
            chain.token_ids += drawn.token_ids
            chain.text += drawn.text
            chain.spent += num_generated(drawn)
            chain.finish_reason, chain.error = drawn.finish_reason, drawn.error
            chain.is_marked = drawn.stop_string == end
            if drawn.stop_string != _GOAL_END:
                return
            chain.text += _GOAL_END
            chain.finish_reason = "length"
            numbers = self._paths(chain.text, depth)
            if numbers:
                await self._fork(chain, numbers, left - chain.spent, depth)
            self.unread += not numbers
            if left <= chain.spent:
                return
            sampling = self._sampling(left - chain.spent, end)
            drawn = await self._draw(chain, f"{self.name}/{self._next()}", sampling)

    def _paths(self, text: str, depth: int) -> list[str]:
        """Return the numbers of the goals with which a text ends; none where it does not fork."""
        goals = _GOALS.fullmatch(text.rpartition("<Parallel>")[2]) if "<Parallel>" in text else None
        numbers = [number for number, _ in _OUTLINE.findall(goals[1])] if goals else []
        is_list = numbers == [str(i) for i in range(1, len(numbers) + 1)]
        is_few = 2 <= len(numbers) <= self.settings.max_paths
        return numbers if is_list and is_few and depth < self.settings.max_depth else []

    async def _fork(self, chain: _Chain, numbers: list[str], left: int, depth: int) -> None:
        """Write all paths at once, then put them in order before the conclusion."""
        clock = asyncio.get_running_loop()
        begin, most = clock.time(), min(left, self.settings.path_tokens)
        if most < 1:
            return
        block = self._next()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._path(chain, number, most, depth, f"{block}.{number}"))
                for number in numbers
            ]
        paths = [task.result() for task in tasks]
        if depth == 0:
            self.forked_seconds += clock.time() - begin
        tokenize, start = self.context.engine.tokenize, len(chain.token_ids)
        for number, path in zip(numbers, paths, strict=True):
            text = f"\n<Path>{number}:{path.text}{_PATH_END}"
            chain.text += text
            # One that was cut, or ended the whole text, lacks its mark.
            chain.token_ids += path.token_ids[start:] if path.is_marked else await tokenize(text)
        chain.token_ids += await tokenize("\n<Conclusion>")
        chain.text += "\n<Conclusion>"
        total = sum(path.spent for path in paths)
        longest = max(path.spent for path in paths)
        chain.spent += longest
        self.context.emit("fork", paths=len(paths), tokens=total, longest=longest, depth=depth)

    async def _path(self, before: _Chain, number: str, most: int, depth: int, name: str) -> _Chain:
        clock = asyncio.get_running_loop()
        begin = clock.time()
        opening = await self.context.engine.tokenize(f"\n<Path>{number}:")
        path = _Chain((*before.token_ids, *opening))
        label = f"{self.name}/{name}"
        drawn = await self._draw(path, label, self._sampling(most, _PATH_END))
        inner = replace(self, name=label, usage=Usage(), requests=0, paths=0, unread=0, seconds=0.0)
        await inner.write(path, drawn, left=most, depth=depth + 1, end=_PATH_END)
        self.usage = self.usage + inner.usage
        self.paths += 1 + inner.paths
        self.unread += inner.unread
        self.seconds += clock.time() - begin if depth == 0 else 0.0
        return path

    def _sampling(self, most: int, end: str) -> Sampling:
        sampling = self.context.sampling
        ends = (_GOAL_END, end) if end else (_GOAL_END,)
        return replace(sampling, max_tokens=most, stop=(*sampling.stop, *ends))

    async def _draw(self, chain: _Chain, label: str, sampling: Sampling) -> Completion | None:
        prompt = Prompt(token_ids=chain.token_ids)
        return await ask(self.context, prompt, seed=self.context.seed(label), sampling=sampling)

    def _next(self) -> int:
        self.requests += 1
        return self.requests


parallel_blocks = node(ParallelBlocks)
