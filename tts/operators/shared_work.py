"""Problem to `n` trajectories, each by a team whose members read each other's unfinished text.

Source: Rodionov et al. 2025, "Hogwild! Inference: Parallel LLM Generation via Concurrent
Attention", arXiv:2504.06261. All members of a team write at once. What each of them sees is laid
out as in the source: the steps that are finished, the unfinished ones of the others, its own last.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydantic import Field

from tts import graph_prompts, prompts
from tts.answers.exact import find_answer
from tts.operators._last_words import ask_for_answer
from tts.operators._plainly import without_thinking
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Reservation, Spec
from tts.search.steps import ANSWER_MARK, PARAGRAPH
from tts.trajectories import draw, num_generated, of_several
from tts.types import Completion, GenerationRequest, GraphFigures, Prompt, Usage
from tts.types.thought import THOUGHT_END

_SENTENCE_ENDS = tuple(".!?。！？")  # noqa: RUF001  full-width marks
_MARKUP = "*_`)]\"'"  # may stand behind the end of a sentence
# The source bans headings and the end of a thought; here they end a step, as what only views hold.
_STOPS = (PARAGRAPH, "#", THOUGHT_END, graph_prompts.CUT)


class SharedWork(OperatorModel):
    """Draws `n` trajectories; the members of each write `lag` tokens, then see what all wrote.

    In the source everybody sees every token at once, by an attention that reads one cache in
    another order for each member. Here the others' text is `lag` tokens old at most, and is read
    again by an ordinary engine (`cached_tokens` tells what it found). A step ends with a paragraph
    that ends a sentence; one with a boxed answer ends the work. Where nobody has boxed an answer
    when all members have written `sampling.max_tokens`, or have nothing to add, it is asked for.
    """

    n: int = Field(1, ge=1, description="trajectories that are drawn, each by a team")
    workers: int = Field(2, ge=1, le=len(graph_prompts.NAMES), description="members of a team")
    lag: int = Field(32, ge=1, description="tokens that each writes before it sees the others'")
    check_every: int = Field(
        256, ge=1, description="tokens of all members between checks for redundant work"
    )
    answer_tokens: int = Field(16, ge=1, description="most tokens of an answer that is asked for")

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        needs = frozenset({"own_prompts"})
        return Spec(accepts=None, emits="finished", needs=needs, fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Let all teams work at once; each keeps room for its answer."""
        names = graph_prompts.NAMES[: self.workers]
        prompt = without_thinking(
            graph_prompts.work_together(context.problem, names), context.engine
        )
        with context.reserve(prompt, n=self.n, max_tokens=self.answer_tokens) as room:
            teams = [
                _Team(
                    self,
                    context,
                    prompt,
                    room,
                    index,
                    [_Member(name, place) for place, name in enumerate(names)],
                )
                for index in range(room.n)
            ]
            async with asyncio.TaskGroup() as group:
                for place in range(len(names)) if teams else ():
                    group.create_task(_begin_together(teams, place))
                for team in teams:
                    group.create_task(team.run(outlet))


@dataclass(slots=True)
class _Member:
    """Who writes.

    Attributes:
        name: Stands before each of its steps.
        place: Among the members.
        first: What it writes in the first turn; None where nothing can be had.
        text: Of its unfinished step, the words that open it included.
        opening: Those words.
        steps: It has finished.
        spent: Tokens that it has generated.
        is_done: It writes no more.
    """

    name: str
    place: int
    first: asyncio.Future[Completion | None] = field(default_factory=asyncio.Future)
    text: str = ""
    opening: str = ""
    steps: int = 0
    spent: int = 0
    is_done: bool = False

    def __post_init__(self) -> None:
        """Open its first step."""
        self.begin(graph_prompts.first_words(self.name, self.place))

    def begin(self, words: str) -> None:
        """Open its next step."""
        self.opening = self.text = f"**{self.name} [{self.steps + 1}]:**{words}"


@dataclass(slots=True)
class _Team:
    """One trajectory in the making.

    Attributes:
        settings: The operator.
        context: Of the node.
        prompt: What is asked of all members.
        room: Kept for the answers of all teams.
        index: Of the trajectory.
        members: Those who write it.
        history: Finished steps, in order.
        unchecked: Tokens of all members since one last checked for redundant work.
        sequential: Tokens that were written one after the other.
        last: Completion of which the trajectory tells how it ended.
        answer: Of the first finished step that has boxed one.
        error: What went wrong with the last member who had to stop.
    """

    settings: SharedWork
    context: Context
    prompt: Prompt
    room: Reservation
    index: int
    members: list[_Member]
    history: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    unchecked: int = 0
    sequential: int = 0
    last: Completion | None = None
    answer: str | None = None
    error: str | None = None

    async def run(self, outlet: Outlet) -> None:
        """Write in turns of `lag` tokens until there is an answer, then send it."""
        clock = asyncio.get_running_loop()
        begin, rounds = clock.time(), 0
        while self.answer is None and (writing := self._writing()):
            rounds += 1
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._write(member, rounds)) for member in writing]
            chunks = [task.result() for task in tasks]
            wrote = [
                (num_generated(chunk), member, chunk)
                for member, chunk in zip(writing, chunks, strict=True)
            ]
            self.sequential += max(tokens for tokens, _, _ in wrote)
            # Who wrote less was done first.
            for tokens, member, chunk in sorted(wrote, key=lambda row: (row[0], row[1].place)):
                self._take(member, chunk, tokens)
        self.room.give_back()
        text = self._joint()
        is_boxed = ANSWER_MARK in prompts.answered(self.context.problem, "")
        if is_boxed and self.answer is None:
            text += await self._answer(text)
        if self.last is not None:
            self._send(outlet, self.last, text, clock.time() - begin)

    def _writing(self) -> list[_Member]:
        return [member for member in self.members if not member.is_done]

    async def _write(self, member: _Member, turn: int) -> Completion | None:
        """Return what a member writes next; None where nothing more can be had."""
        if turn == 1:
            return await member.first
        taken: list[Completion] = []
        await draw(self.context, self.request(member, turn), taken.append)
        return taken[0] if taken else None

    def request(self, member: _Member, turn: int, n: int = 1) -> GenerationRequest:
        """Return what asks for a member's next words, in view of what there is."""
        sampling = self.context.sampling
        most = min(self.settings.lag, sampling.max_tokens - member.spent)
        others = [other.text for other in self.members if other is not member]
        begun = [f"**{one.name} [" for one in self.members]  # the next step is for us to open
        view = graph_prompts.shared_view(self.history, others, member.text)
        return GenerationRequest(
            replace(self.prompt, prefill=view),
            replace(sampling, max_tokens=most, stop=(*sampling.stop, *_STOPS, *begun)),
            n=n,
            seed=self.context.seed(f"{self.index}/{turn}/{member.place}"),
        )

    def _take(self, member: _Member, chunk: Completion | None, tokens: int) -> None:
        """Put what a member wrote where the others see it."""
        if chunk is None:
            member.is_done = True
            return
        self.usage = self.usage + chunk.usage
        self.last = chunk
        self.unchecked += tokens
        member.spent += tokens
        if chunk.finish_reason == "error":
            self.error, member.is_done = chunk.error, True
            return
        seam = max(0, len(member.text) - 1)
        added = chunk.text.rstrip("\N{REPLACEMENT CHARACTER}")
        member.text += added.lstrip("\n") if member.text.endswith(PARAGRAPH) else added
        if (end := member.text.find(PARAGRAPH, seam)) >= 0:  # half of it in either chunk
            rest, member.text = member.text[end:].lstrip("\n"), member.text[:end]
            self._end_paragraph(member)
            member.text += rest
        elif chunk.stop_string == PARAGRAPH:
            self._end_paragraph(member)
        elif chunk.finish_reason == "stop":
            self._finish_step(member)
        if member.spent >= self.context.sampling.max_tokens:
            member.is_done = True

    def _end_paragraph(self, member: _Member) -> None:
        if _ends_sentence(member.text):
            self._finish_step(member)
        else:
            member.text += PARAGRAPH

    def _finish_step(self, member: _Member) -> None:
        step = member.text.rstrip()
        if step == member.opening:  # nothing to add
            member.is_done = True
            return
        self.history.append(step)
        member.steps += 1
        if self.answer is None and ANSWER_MARK in step:
            self.answer = find_answer(step, self.context.problem)
        is_due = self.unchecked > self.settings.check_every
        member.begin(graph_prompts.REDUNDANT if is_due else "")
        self.unchecked *= not is_due

    def _joint(self) -> str:
        """Return all that was written, unfinished steps last."""
        texts = ((m.text.rstrip(), m) for m in self.members)
        unfinished = [text for text, m in texts if text != m.opening or not m.steps]
        return PARAGRAPH.join((*self.history, *unfinished))

    async def _answer(self, text: str) -> str:
        """Return the words that ask for an answer, with it."""
        most = self.settings.answer_tokens
        answer = await ask_for_answer(self.context, self.prompt, text, index=self.index, most=most)
        if answer is None:
            return ""
        self.last, self.usage = answer, self.usage + answer.usage
        self.sequential += num_generated(answer)
        if answer.finish_reason == "error":
            self.error = answer.error
            return ""
        return graph_prompts.LAST_WORDS + answer.text

    def _send(self, outlet: Outlet, last: Completion, text: str, seconds: float) -> None:
        trajectory = of_several(
            self.context,
            last,
            index=self.index,
            text=text,
            usage=self.usage,
            answer=self.answer or find_answer(text, self.context.problem),
            error=self.error,
        )
        outlet.send(trajectory)
        self.context.worked_off(
            GraphFigures(
                trajectory=trajectory.id,
                tasks=sum(member.steps for member in self.members),
                seconds=seconds,
                task_seconds=seconds * len(self.members),
                critical_seconds=seconds,
                sequential_tokens=self.sequential,
            )
        )


async def _begin_together(teams: Sequence[_Team], place: int) -> None:
    """Draw the first words of one member of each team: all see the same, so that one request does.

    Args:
        teams: At least one.
        place: Of the member.
    """
    members = [team.members[place] for team in teams]

    def hand(member: _Member, chunk: Completion | None) -> None:
        if not member.first.done():  # its team may have been cancelled
            member.first.set_result(chunk)

    request = teams[0].request(members[0], 1, len(teams))
    await draw(teams[0].context, request, lambda chunk: hand(members[chunk.index], chunk))
    for member in members:
        hand(member, None)


def _ends_sentence(text: str) -> bool:
    return text.rstrip().rstrip(_MARKUP).endswith(_SENTENCE_ENDS)


shared_work = node(SharedWork)
