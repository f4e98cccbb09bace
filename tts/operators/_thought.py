"""What operators share that draw a thought whose length is controlled from outside."""

import asyncio
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import Field

from tts import prompts
from tts.operators._forced import Attempt, Forcing
from tts.protocols import Context, Outlet
from tts.trajectories import num_generated
from tts.types import Completion, Prompt, Sampling
from tts.types.thought import THOUGHT_END, THOUGHT_START, Thought


class Watch(Protocol):
    """Looks at one thought after each of its slices."""

    @property
    def is_beside(self) -> bool:
        """Whether the next slice is drawn while it looks; what is drawn in vain is then aborted."""
        ...

    async def looks_over(self, thought: "ThoughtInTheMaking") -> bool:
        """Return whether the thought is over; its text may be given last words then."""
        ...


class Thinking(Forcing):
    """Draws `n` trajectories: a thought of at most `max_thinking` tokens, and then the answer.

    Room for each answer is kept free in the budget (its tokens and its call) while the thoughts
    run. Where the budget is too small for that, thoughts and answers get equal parts of it, and
    fewer trajectories are drawn; none, where it has no room for one thought and one answer. The
    model's context keeps that room too: a thought that comes so close to its end is over.
    """

    max_thinking: int | None = Field(
        None, ge=1, description="most tokens of a thought; sampling.max_tokens if none"
    )
    answer_tokens: int = Field(128, ge=1, description="most tokens of what follows the thought")
    lead: str = Field("", description="first words of the answer")

    @abstractmethod
    def _thought(self, attempt: Attempt) -> "ThoughtInTheMaking":
        """Return the thought of one attempt, before its first slice."""

    @property
    def _slice_tokens(self) -> int | None:
        """Tokens between two looks at a thought; None where nobody looks."""
        return None

    @property
    def _opening(self) -> str:
        return closing(".", self.lead)

    def _begin(self, context: Context) -> tuple[Prompt, Sampling]:
        return prompts.solve_thinking(context.problem), self.slice_sampling(context.sampling, 0)

    async def _go_on(self, attempt: Attempt, first: Completion, outlet: Outlet) -> None:
        await self._thought(attempt).run(first, outlet)

    def slice_sampling(self, sampling: Sampling, spent: int) -> Sampling:
        """Return how the next slice of a thought is drawn; its `max_tokens` may be below 1."""
        left = (self.max_thinking or sampling.max_tokens) - spent
        size = min(left, self._slice_tokens or left)
        return replace(sampling, max_tokens=size, stop=(*sampling.stop, THOUGHT_END))


@dataclass(slots=True)
class ThoughtInTheMaking:
    """A thought, slice by slice, until it ends or is ended; then the answer.

    Attributes:
        settings: Of the operator.
        attempt: Whose thought it is.
        watch: Looks at it after each slice; None draws it in one.
        waits: Ends of its own that are still ignored.
        wait_words: Appended where one is.
        text: The thought so far, the words appended by us included.
        spent: Tokens of it that the model generated.
    """

    settings: Thinking
    attempt: Attempt
    watch: Watch | None = None
    waits: int = 0
    wait_words: str = ""
    text: str = ""
    spent: int = 0

    async def run(self, first: Completion, outlet: Outlet) -> None:
        """Think on until the end, then send the trajectory with its answer."""
        attempt, waits = self.attempt, self.waits
        completion: Completion | None = first
        while completion is not None:
            attempt.parts.append(completion)
            if completion.finish_reason == "error":
                outlet.send(attempt.trajectory(completion, self.text))
                return
            self.text, end, _ = (self.text + completion.text).partition(THOUGHT_END)
            if end:  # it lay across two slices, where no stop string sees it
                completion = replace(completion, finish_reason="stop")
            self.spent += num_generated(completion)
            completion = await self._next(completion)
        ignored = waits - self.waits
        attempt.context.emit("think", index=attempt.index, tokens=self.spent, waits=ignored)
        lead = self.settings.lead
        opening = closing(self.text, lead)
        answer = await attempt.force(self.prompt(Thought("closed", self.text), lead))
        outlet.send(attempt.trajectory(answer, opening + (answer.text if answer else "")))

    def prompt(self, thought: Thought, prefill: str = "") -> Prompt:
        """Return what asks for what follows a thought."""
        asked = prompts.solve_thinking(self.attempt.context.problem)
        return replace(asked, thought=thought, prefill=prefill)

    async def _next(self, last: Completion) -> Completion | None:
        """Return the next slice; None when the thought is over."""
        sampling = self.settings.slice_sampling(self.attempt.context.sampling, self.spent)
        if sampling.max_tokens < 1:
            return None
        if last.finish_reason == "length":
            if self.watch is None:
                return None
            ids = (*last.prompt_token_ids, *last.token_ids)
            return await self._watched(self.watch, Prompt(token_ids=ids), sampling)
        if self.waits == 0:
            return None
        self.waits -= 1
        self.text += self.wait_words
        return await self._slice(self.prompt(Thought("open", self.text)), sampling)

    async def _watched(self, watch: Watch, prompt: Prompt, sampling: Sampling) -> Completion | None:
        if not watch.is_beside:
            return None if await watch.looks_over(self) else await self._slice(prompt, sampling)
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._slice(prompt, sampling))
            is_over = await watch.looks_over(self)
            if is_over:
                following.cancel()
        return None if is_over else following.result()

    async def _slice(self, prompt: Prompt, sampling: Sampling) -> Completion | None:
        free = self.settings.answer_room
        return await self.attempt.draw(prompt, sampling, keep_free=free)


def closing(text: str, lead: str) -> str:
    """Return a thought with its end, as the answer's opening words."""
    return Thought("closed", text).written.removeprefix(f"{THOUGHT_START}\n") + lead
