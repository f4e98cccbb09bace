"""Draw more trajectories, and end each as soon as the model's confidence falls too low.

Source: the online form of DeepConf, Fu et al. 2025, "Deep Think with Confidence",
arXiv:2508.15260. There a hook in the engine ends a trajectory at the token where the mean
confidence of the last `window` falls below the bar; here, on any engine that takes token ids, a
trajectory is drawn `chunk` tokens at a time and looked at in between, so that it ends up to a
chunk later. Each chunk goes on from a cached prefix.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from pydantic import Field

from tts import prompts
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import per_token, to_trajectory
from tts.types import Completion, GenerationRequest, Prompt, sum_usage
from tts.voting.confidence import bar, lowest_group

CANDIDATES = 20


class Screen(OperatorModel):
    """Reads warm-up trajectories, sets the bar by them, then draws `n` more against it.

    The bar is what the best `keep` share of the warm-up reached in their least confident window.
    It sends the warm-up trajectories that reach it, then each new one as it ends; one that was cut
    is sent as pruned, without an answer. Until it ends, a trajectory shorter than a window is not
    judged; then it is, as the warm-up was, by all that it has.
    """

    n: int = Field(1, ge=0, description="trajectories drawn after the warm-up")
    keep: float = Field(0.9, gt=0, lt=1, description="share of the warm-up that sets the bar")
    window: int = Field(
        2048, ge=1, description="tokens whose mean confidence is compared with the bar"
    )
    chunk: int = Field(256, ge=1, description="tokens drawn between two looks")

    @property
    def spec(self) -> Spec:
        """Reads finished trajectories with confidences; sends finished ones."""
        return Spec(
            accepts="finished",
            emits="finished",
            needs=frozenset({"logprobs", "token_ids"}),
            fan_out=None,
            logprobs=CANDIDATES,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Wait for the warm-up, then draw."""
        warm = [t async for t in context.merge(inputs, order="index")]
        lowest = [(t, lowest_group(t.confidences, self.window)) for t in warm if t.confidences]
        if not lowest:
            context.warn("no warm-up trajectory has confidences to set a bar")
            return
        least = bar([value for _, value in lowest], self.keep)
        context.emit("bar", value=least, warmup=len(lowest))
        for trajectory, value in lowest:
            if value >= least:
                outlet.send(trajectory)
        async with asyncio.TaskGroup() as group:
            for index in range(self.n):
                group.create_task(self._draw(context, outlet, index, least))

    async def _draw(self, context: Context, outlet: Outlet, index: int, least: float) -> None:
        draft = _Draft()
        seed = context.seed(str(index))
        is_cut = has_ended = False
        while not is_cut and not has_ended:
            completion = await self._next_chunk(context, draft, index)
            if completion is None:
                break
            draft.chunks.append(completion)
            has_room = draft.size < context.sampling.max_tokens
            has_more = completion.finish_reason == "length" and has_room
            has_ended = not (has_more and completion.token_ids)
            confidences = draft.joined().confidences or ()
            can_be_cut = bool(confidences) and (has_ended or len(confidences) >= self.window)
            is_cut = can_be_cut and lowest_group(confidences, self.window) < least
        if not draft.chunks:
            return
        trajectory = to_trajectory(context, draft.joined(), seed=seed, index=index)
        if is_cut:
            trajectory = replace(trajectory, finish_reason="pruned", answer=None)
            context.emit("pruned", id=trajectory.id, tokens=draft.size)
        outlet.send(trajectory)

    async def _next_chunk(self, context: Context, draft: "_Draft", index: int) -> Completion | None:
        """Return the next tokens; None when the budget is spent."""
        tokens = min(self.chunk, context.sampling.max_tokens - draft.size)
        sampling = replace(context.sampling, max_tokens=tokens)
        seed = context.seed(f"{index}\x1f{len(draft.chunks)}")
        request = GenerationRequest(draft.prompt(context), sampling, seed=seed)
        async with aclosing(context.generate(request)) as stream:
            async for completion in stream:
                return completion
        return None


@dataclass(slots=True)
class _Draft:
    """A trajectory in the making."""

    chunks: list[Completion] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(len(chunk.token_ids) for chunk in self.chunks)

    def prompt(self, context: Context) -> Prompt:
        if not self.chunks:
            return prompts.solve(context.problem)
        return Prompt(token_ids=self.chunks[0].prompt_token_ids + self.joined().token_ids)

    def joined(self) -> Completion:
        """Return the chunks as one completion."""
        last = self.chunks[-1]
        return replace(
            last,
            index=0,
            text="".join(chunk.text for chunk in self.chunks),
            usage=sum_usage(chunk.usage for chunk in self.chunks),
            prompt_token_ids=self.chunks[0].prompt_token_ids,
            token_ids=tuple(i for chunk in self.chunks for i in chunk.token_ids),
            **per_token(self.chunks),
        )


screen = node(Screen)
