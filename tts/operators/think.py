"""Draw trajectories with a thought whose length is controlled from outside.

Sources: Muennighoff et al. 2025, "s1: Simple test-time scaling", arXiv:2501.19393 (a least length
by appending "Wait", a most length by ending the thought); Fu et al. 2024, "Efficiently Scaling LLM
Reasoning Programs with Certaindex", arXiv:2412.20993 (probing for the answer at intervals).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from pydantic import Field, model_validator

from tts import prompts
from tts.answers.groups import extract_answer
from tts.operators.base import OperatorModel, node
from tts.protocols import AnswerGroups, Context, Inlet, Outlet, Reservation, Spec
from tts.trajectories import ask, draw
from tts.types import (
    Completion,
    GenerationRequest,
    Origin,
    Prompt,
    Sampling,
    Trajectory,
    Usage,
)
from tts.types.thought import THOUGHT_END, THOUGHT_START, Thought

_BOX = "\\boxed{"


class Think(OperatorModel):
    """Draws `n` trajectories: a thought, stretched or cut, and then the answer.

    The thought may take `max_thinking` tokens in all. Its end is ignored `waits` times: the tag is
    dropped and `wait_words` are appended. At the limit the thought is closed and the answer asked
    for, after `lead`.

    Room for each answer is kept free in the budget (its tokens and its call) while the thoughts
    run. Where the budget is too small for that, thoughts and answers get equal parts of it, and
    fewer trajectories are drawn; none, where it has no room for one thought and one answer. The
    model's context keeps that room too: a thought that comes so close to its end is over.

    With `slice_tokens` the thought is generated slice by slice, each continuing the last by token
    ids, so that its KV blocks are reused. After each slice `probe` is appended to a copy and the
    answer is read; `agree` equal answers in a row close the thought. `max_repeats` closes a thought
    that repeats a paragraph so often. Probes cost tokens, which the trajectory carries.
    """

    n: int = Field(1, ge=1, description="trajectories drawn in parallel")
    max_thinking: int | None = Field(
        None, ge=1, description="most tokens of a thought; sampling.max_tokens if none"
    )
    waits: int = Field(0, ge=0, le=64, description="times that the end of the thought is ignored")
    wait_words: str = Field(
        "Wait", min_length=1, description="words that are appended where an end is ignored"
    )
    answer_tokens: int = Field(128, ge=1, description="most tokens of what follows the thought")
    lead: str = Field("", description="first words of the answer")
    slice_tokens: int | None = Field(
        None, ge=1, description="tokens between two looks at a thought; it is not looked at if none"
    )
    probe: str | None = Field(
        None,
        min_length=1,
        description="words that ask for the answer so far; nothing is asked if none",
    )
    probe_tokens: int = Field(20, ge=1, description="most tokens of the reply to a probe")
    agree: int = Field(3, ge=1, description="equal probes in a row that close the thought")
    max_repeats: int | None = Field(
        None, ge=2, description="equal paragraphs that close the thought; never if none"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        looks = self.probe is not None or self.max_repeats is not None
        if looks != (self.slice_tokens is not None):
            raise ValueError("slice_tokens goes with probe or max_repeats, which need it")
        return self

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        needs = {"own_prompts", "thoughts", *(["token_ids"] if self.slice_tokens else [])}
        return Spec(accepts=None, emits="finished", needs=frozenset(needs), fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw the first slices from one shared prefill; go on with each as it arrives."""
        sampling = self.thinking(context.sampling, self.limit(context.sampling))
        prompt, seed = prompts.solve_thinking(context.problem), context.seed()
        with context.reserve(prompt, n=2 * self.n, max_tokens=self.answer_tokens) as room:
            count = room.n // 2
            if count == 0:
                return
            room.give_back(room.n - count)
            async with asyncio.TaskGroup() as group:

                def take(completion: Completion) -> None:
                    thought = _Thought(self, context, completion.index, seed, room)
                    group.create_task(thought.run(completion, outlet))

                free = self.answer_room
                request = GenerationRequest(prompt, sampling, n=count, seed=seed, keep_free=free)
                await draw(context, request, take)

    @property
    def answer_room(self) -> int:
        """Most tokens that the end of the thought, at one a byte, and the answer take."""
        return len(closing(".", self.lead).encode()) + self.answer_tokens

    def limit(self, sampling: Sampling) -> int:
        """Return the most tokens of the thought."""
        return self.max_thinking or sampling.max_tokens

    def thinking(self, sampling: Sampling, left: int) -> Sampling:
        """Return how the next slice is drawn."""
        size = min(left, self.slice_tokens or left)
        return replace(sampling, max_tokens=size, stop=(*sampling.stop, THOUGHT_END))


@dataclass(slots=True)
class _Thought:
    """One trajectory in the making.

    Attributes:
        room: Kept for the answers of all; one is given back for this answer.
        text: The thought so far, the words appended by us included.
        spent: Tokens of the thought that the model generated.
        waits: Ends ignored so far.
        requests: Made so far, for their seeds.
        probed: Class of each probe's answer; None where it gave none.
        usage: Of all requests.
    """

    settings: Think
    context: Context
    index: int
    seed: int
    room: Reservation
    text: str = ""
    spent: int = 0
    waits: int = 0
    requests: int = 0
    probed: list[int | None] = field(default_factory=list)
    groups: AnswerGroups | None = None
    prompt_token_ids: tuple[int, ...] = ()
    usage: Usage = field(default_factory=Usage)

    async def run(self, first: Completion, outlet: Outlet) -> None:
        """Think on until the end, then send the trajectory with its answer."""
        self.prompt_token_ids = first.prompt_token_ids
        completion: Completion | None = first
        while completion is not None and completion.finish_reason != "error":
            self._take(completion)
            completion = await self._think_on(completion)
        if completion is not None:
            self.usage = self.usage + completion.usage
            outlet.send(self._trajectory(completion, self.text))
            return
        self.context.emit("think", index=self.index, tokens=self.spent, waits=self.waits)
        lead = self.settings.lead
        opening = closing(self.text, lead)
        sampling = replace(self.context.sampling, max_tokens=self.settings.answer_tokens)
        self.room.give_back()
        answer = await self._ask(self._after(Thought("closed", self.text), lead), sampling)
        outlet.send(self._trajectory(answer, opening + (answer.text if answer else "")))

    def _take(self, completion: Completion) -> None:
        self.text += completion.text
        self.spent += completion.usage.generated_tokens or len(completion.token_ids)
        self.usage = self.usage + completion.usage

    async def _think_on(self, last: Completion) -> Completion | None:
        """Return the next slice; None when the thought is over."""
        left = self.settings.limit(self.context.sampling) - self.spent
        if left <= 0:
            return None
        sampling = self.settings.thinking(self.context.sampling, left)
        if last.finish_reason == "length":
            if self.settings.slice_tokens is None or await self._is_settled():
                return None
            ids = (*last.prompt_token_ids, *last.token_ids)
            return await self._slice(Prompt(token_ids=ids), sampling)
        if self.waits >= self.settings.waits:
            return None
        self.waits += 1
        self.text += self.settings.wait_words
        return await self._slice(self._after(Thought("open", self.text)), sampling)

    async def _is_settled(self) -> bool:
        repeats = self.settings.max_repeats
        if repeats is not None and most_repeats(self.text) >= repeats:
            self.context.emit("thought_end", index=self.index, rule="repeats")
            return True
        return self.settings.probe is not None and await self._probe(self.settings.probe)

    async def _probe(self, words: str) -> bool:
        """Ask for the answer so far; returns whether the last ones agree."""
        sampling = Sampling(temperature=0.0, max_tokens=self.settings.probe_tokens)
        reply = await self._ask(self._probing(words), sampling)
        said = "" if reply is None else probed_text(words, reply.text)
        answer = extract_answer(said, self.context.problem.answer_type)
        self.groups = self.groups or self.context.answers()
        self.probed.append(await self.groups.add(answer))
        self.context.emit("probe", index=self.index, tokens=self.spent, answer=answer)
        if not agrees(self.probed, self.settings.agree):
            return False
        self.context.emit("thought_end", index=self.index, rule="probe")
        return True

    def _after(self, thought: Thought, prefill: str = "") -> Prompt:
        asked = prompts.solve_thinking(self.context.problem)
        return replace(asked, thought=thought, prefill=prefill)

    def _probing(self, words: str) -> Prompt:
        """Return the thought so far and the words of a probe, which may close it."""
        inside, closed, answer = words.partition(THOUGHT_END)
        stage: Literal["open", "closed"] = "closed" if closed else "open"
        return self._after(Thought(stage, self.text + inside), answer.lstrip("\n"))

    async def _slice(self, prompt: Prompt, sampling: Sampling) -> Completion | None:
        return await self._next(prompt, sampling, keep_free=self.settings.answer_room)

    async def _next(
        self, prompt: Prompt, sampling: Sampling, *, keep_free: int = 0
    ) -> Completion | None:
        self.requests += 1
        seed = self.context.seed(f"{self.index}/{self.requests}")
        return await ask(self.context, prompt, seed=seed, sampling=sampling, keep_free=keep_free)

    async def _ask(self, prompt: Prompt, sampling: Sampling) -> Completion | None:
        completion = await self._next(prompt, sampling)
        if completion is not None:
            self.usage = self.usage + completion.usage
        return completion

    def _trajectory(self, last: Completion | None, text: str) -> Trajectory:
        is_error = last is not None and last.finish_reason == "error"
        ids = (*last.prompt_token_ids, *last.token_ids) if last else ()
        return Trajectory(
            id=f"{self.context.node}:{self.index}",
            origin=Origin(self.context.node, self.index, self.seed + self.index),
            text=text,
            finish_reason=last.finish_reason if last else "length",
            prompt_token_ids=self.prompt_token_ids,
            token_ids=ids[len(self.prompt_token_ids) :],
            answer=None if is_error else extract_answer(text, self.context.problem.answer_type),
            usage=self.usage,
            error=last.error if last else None,
        )


def closing(text: str, lead: str) -> str:
    """Return a thought with its end, as the answer's opening words."""
    return Thought("closed", text).written.removeprefix(f"{THOUGHT_START}\n") + lead


def agrees(probed: Sequence[int | None], count: int) -> bool:
    """Return whether the last `count` probes gave one and the same answer."""
    last = set(probed[-count:])
    return len(probed) >= count and len(last) == 1 and None not in last


def probed_text(words: str, reply: str) -> str:
    r"""Return what a probe said; nothing where the `\boxed{` that it opened is not closed."""
    before, opened, _ = words.rpartition(_BOX)
    if not opened:
        return words.rpartition(THOUGHT_END)[2] + reply
    depth = 1
    inside = words[len(before) + len(opened) :] + reply
    for place, char in enumerate(inside):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth == 0:
            content = inside[:place].strip()
            return f"{_BOX}{content}}}" if content else ""
    return ""


def most_repeats(text: str) -> int:
    """Return how often the most frequent paragraph occurs, the unfinished last one left out."""
    paragraphs = [part.strip() for part in text.split("\n\n")[:-1] if part.strip()]
    return max((paragraphs.count(part) for part in set(paragraphs)), default=0)


think = node(Think)
