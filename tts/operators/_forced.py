"""What operators share that draw attempts of a limited length and force an answer at the limit."""

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydantic import Field

from tts.answers.exact import find_answer
from tts.operators.base import OperatorModel
from tts.protocols import Context, Inlet, Outlet, Reservation
from tts.trajectories import ask, draw, per_token
from tts.types import (
    Completion,
    GenerationRequest,
    Origin,
    Prompt,
    Sampling,
    Trajectory,
    Usage,
)


@dataclass(slots=True)
class Attempt:
    """One trajectory in the making.

    Attributes:
        context: The node's.
        index: Among those of the node.
        seed: Base seed of the node's requests.
        room: Kept for the answers of all; one is given back for this answer.
        answer_tokens: Most tokens of the answer.
        parts: What the model wrote of it, in a row.
        asked: Usage of what was asked beside them.
        requests: Made so far, for their seeds.
    """

    context: Context
    index: int
    seed: int
    room: Reservation
    answer_tokens: int
    parts: list[Completion] = field(default_factory=list)
    asked: Usage = field(default_factory=Usage)
    requests: int = 0

    async def draw(
        self, prompt: Prompt, sampling: Sampling, *, keep_free: int = 0
    ) -> Completion | None:
        """Return one more completion; None when the budget or the context leaves none."""
        self.requests += 1
        seed = self.context.seed(f"{self.index}/{self.requests}")
        return await ask(self.context, prompt, seed=seed, sampling=sampling, keep_free=keep_free)

    async def force(self, prompt: Prompt) -> Completion | None:
        """Return the answer, for which there is room."""
        self.room.give_back()
        sampling = replace(self.context.sampling, max_tokens=self.answer_tokens)
        answer = await self.draw(prompt, sampling)
        if answer is not None:
            self.parts.append(answer)
        return answer

    def trajectory(self, last: Completion | None, text: str) -> Trajectory:
        """Return what has come of it.

        Args:
            last: What the engine gave last; None where nothing more could be had.
            text: All of it, with the words that were put into the model's mouth.
        """
        is_error = last is not None and last.finish_reason == "error"
        prompt = self.parts[0].prompt_token_ids
        ids = (*last.prompt_token_ids, *last.token_ids) if last else ()
        usage = self.asked
        for part in self.parts:
            usage = usage + part.usage
        return Trajectory(
            id=f"{self.context.node}:{self.index}",
            origin=Origin(self.context.node, self.index, self.seed + self.index),
            text=text,
            finish_reason=last.finish_reason if last else "length",
            prompt_token_ids=prompt,
            token_ids=ids[len(prompt) :],
            answer=None if is_error else find_answer(text, self.context.problem),
            **per_token(self.parts),
            usage=usage,
            error=last.error if last else None,
        )


class Forcing(OperatorModel):
    """Draws `n` attempts side by side and keeps room for the answer of each."""

    n: int = Field(1, ge=1, description="trajectories drawn in parallel")
    answer_tokens: int = Field(128, ge=1, description="most tokens of a forced answer")
    lead: str = Field("", description="first words of a forced answer")

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw the beginnings from one shared prefill; go on with each as it arrives."""
        prompt, sampling = self._begin(context)
        seed = context.seed()
        with context.reserve(prompt, n=2 * self.n, max_tokens=self.answer_tokens) as room:
            count = room.n // 2
            if count == 0:
                return
            room.give_back(room.n - count)
            async with asyncio.TaskGroup() as group:

                def take(completion: Completion) -> None:
                    attempt = (context, completion.index, seed, room, self.answer_tokens)
                    group.create_task(self._go_on(Attempt(*attempt), completion, outlet))

                free = self.answer_room
                request = GenerationRequest(prompt, sampling, n=count, seed=seed, keep_free=free)
                await draw(context, request, take)

    @property
    def answer_room(self) -> int:
        """Most tokens that the words before the answer, at one a byte, and the answer take."""
        return len(self._opening.encode()) + self.answer_tokens

    @property
    @abstractmethod
    def _opening(self) -> str:
        """What is put before a forced answer."""

    @abstractmethod
    def _begin(self, context: Context) -> tuple[Prompt, Sampling]:
        """Return how all attempts begin."""

    @abstractmethod
    async def _go_on(self, attempt: Attempt, first: Completion, outlet: Outlet) -> None:
        """Send what becomes of one attempt, whose beginning was drawn."""
