"""One team's work: steps, what each worker sees, when it is over. Pure: no model, no torch.

Source: Rodionov et al. 2025, arXiv:2504.06261, and its authors' code (`eqimp/hogwild_llm`), whose
order of things this keeps: the token that ends a step is not yet in the cache when the step joins
the finished ones, and so stands at the beginning of the worker's next segment.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from tts.types import FinishReason, Team

BLANK_LINE = "\n\n"
# Before a blank line, they end a sentence: those of the source.
_SENTENCE_ENDS = tuple(".?!。۔؟।॥…‽།᠃։჻¶❧")  # noqa: RUF001  marks of other scripts
_MOST_AT_ONCE = 512  # tokens of a prompt that are read in one step


class Row(NamedTuple):
    """New tokens of a segment, in one step of the model.

    Attributes:
        tokens: At least one.
        view: Segments that they see, in order; the last one is their own.
    """

    tokens: list[int]
    view: list[int]


class Codec(Protocol):
    """Text to tokens and back."""

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text that continues others: without special tokens."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ids."""
        ...


@dataclass(slots=True)
class Fixed:
    """A segment that is read once and seen by all workers, by itself: no text before it counts.

    Attributes:
        segment: Its name.
        pending: Tokens that the cache does not hold yet.
        num_read: Those that it holds.
    """

    segment: int
    pending: list[int]
    num_read: int = 0

    def row(self) -> Row:
        """Return the next tokens to be read, which then count as read."""
        now, self.pending = self.pending[:_MOST_AT_ONCE], self.pending[_MOST_AT_ONCE:]
        self.num_read += len(now)
        return Row(now, [self.segment])


@dataclass(slots=True)
class Shared:
    """What all teams of one request see: read once for all of them.

    Attributes:
        prompt: What is asked.
        others: Stands before the others' unfinished steps.
        between: Stands between two others.
        own: Stands before a worker's own.
    """

    prompt: Fixed
    others: Fixed
    between: Fixed
    own: Fixed

    @classmethod
    def of(
        cls, team: Team, prompt: Sequence[int], codec: Codec, open_segment: Callable[[], int]
    ) -> "Shared":
        """Return the segments of a team's texts; those that nobody sees stay empty."""
        shown = [
            team.others if len(team.names) > 1 else "",
            team.between if len(team.names) > 2 else "",
            team.own if len(team.names) > 1 else "",
        ]
        texts = [list(prompt), *(list(codec.tokenize(text)) if text else [] for text in shown)]
        return cls(*(Fixed(open_segment(), tokens) for tokens in texts))

    def __iter__(self) -> Iterator[Fixed]:
        """Iterate over all of them."""
        return iter((self.prompt, self.others, self.between, self.own))

    @property
    def segments(self) -> list[int]:
        """Names of the segments."""
        return [fixed.segment for fixed in self]

    @property
    def num_read(self) -> int:
        """Tokens that have been read."""
        return sum(fixed.num_read for fixed in self)


@dataclass(slots=True)
class _Worker:
    """Who writes.

    Attributes:
        name: Stands before each of its steps.
        segment: Of its unfinished step.
        tokens: Of that step.
        pending: Those that the cache does not hold yet.
        number: Of that step.
    """

    name: str
    segment: int
    tokens: list[int]
    pending: list[int] = field(default_factory=list)
    number: int = 1


class Teamwork:
    """A completion in the making.

    Attributes:
        team: Who writes, and the rules.
        finish: How it ended; None while it goes on.
        num_drawn: Tokens that the workers have drawn.
        num_put: Tokens that were put in to open steps, and have been read.

    Args:
        team: Who writes, and the rules.
        shared: What all see.
        codec: Of the model.
        open_segment: Returns the name of a new segment.
        max_steps: Most tokens that each draws; where the team counts what is put in, all together
            draw and are given no more than as many times their number.
        room: Tokens of the model's context.
    """

    def __init__(
        self,
        team: Team,
        shared: Shared,
        codec: Codec,
        open_segment: Callable[[], int],
        *,
        max_steps: int,
        room: int,
    ) -> None:
        self.team = team
        self.finish: FinishReason | None = None
        self.num_drawn = 0
        self.num_put = 0
        self._shared = shared
        self._codec = codec
        self._open = open_segment
        self._max_steps = max_steps
        self._room = room
        self._history: list[int] = []
        self._finished: list[int] = []  # segments
        self._unchecked = 0
        self._num_opened = 0  # tokens put in to open later steps, read or not
        self._workers = [
            _Worker(name, open_segment(), list(codec.tokenize(opening)))
            for name, opening in zip(team.names, team.openings, strict=True)
        ]
        for worker in self._workers:
            worker.pending = list(worker.tokens)

    @property
    def segments(self) -> list[int]:
        """Names of its own segments."""
        return [*self._finished, *(worker.segment for worker in self._workers)]

    def rows(self) -> list[Row]:
        """Return what the workers read next, in their order; it then counts as read."""
        rows = [Row(worker.pending, self._view(worker)) for worker in self._workers]
        drawn = len(rows) if self.num_drawn else 0  # each has drawn one of what it reads
        self.num_put += sum(len(row.tokens) for row in rows) - drawn
        for worker in self._workers:
            worker.pending = []
        return rows

    def _view(self, worker: _Worker) -> list[int]:
        shared = self._shared
        others = [other.segment for other in self._workers if other is not worker]
        seen = [shared.prompt.segment, *self._finished]
        if others:
            seen.append(shared.others.segment)
            for segment in others[:-1]:
                seen += [segment, shared.between.segment]
            seen += [others[-1], shared.own.segment]
        return [*seen, worker.segment]

    def take(self, drawn: Sequence[int], length: Callable[[int], int]) -> None:
        """Give each worker the token that it has drawn.

        Args:
            drawn: By worker.
            length: Tokens of a segment.
        """
        for worker, token in zip(self._workers, drawn, strict=True):
            self.num_drawn += 1
            worker.tokens.append(token)
            worker.pending = [token]
            if self._ends_step(worker.tokens):
                self._next_step(worker, token)
            self._unchecked += len(worker.pending)
        if self.finish is None and not self._may_go_on(length):
            self.finish = "length"

    def _may_go_on(self, length: Callable[[int], int]) -> bool:
        written = self.num_drawn + (self._num_opened if self.team.counts_put else 0)
        if written + len(self._workers) > self._max_steps * len(self._workers):
            return False
        return self.longest_view(length) < self._room

    def longest_view(self, length: Callable[[int], int]) -> int:
        """Return how many tokens a worker sees at most, once all have read what they are to.

        Args:
            length: Tokens of a segment.
        """
        waiting = sum(len(worker.pending) for worker in self._workers)
        return waiting + max(sum(map(length, self._view(worker))) for worker in self._workers)

    def _ends_step(self, tokens: list[int]) -> bool:
        """Whether the last token completes a blank line that ends a step."""
        if "\n" not in self._codec.decode(tokens[-1:]):
            return False
        text = self._codec.decode(tokens)
        end = text.rfind(BLANK_LINE)
        if end < 0 or end + len(BLANK_LINE) <= len(self._codec.decode(tokens[:-1])):
            return False
        if self.team.step_ends == "paragraph" or self._holds_answer(text[:end]):
            return True
        return text[:end].strip().endswith(_SENTENCE_ENDS)

    def _next_step(self, worker: _Worker, last: int) -> None:
        """Put a worker's step to the finished ones, and open its next."""
        if self._holds_answer(self._codec.decode(worker.tokens)):
            self.finish = "stop"
        self._history += worker.tokens
        self._finished.append(worker.segment)
        worker.number += 1
        words = self.team.step.format(name=worker.name, number=worker.number)
        if self._unchecked > self.team.check_every:
            words += self.team.check
            self._unchecked = 0
        worker.segment = self._open()
        worker.tokens = list(self._codec.tokenize(words))
        self._num_opened += len(worker.tokens)
        worker.pending = [last, *worker.tokens]

    def _holds_answer(self, text: str) -> bool:
        mark = self.team.answer_mark
        found = text.rfind(mark) if mark else -1
        depth = 1
        for sign in text[found + len(mark) :] if found >= 0 else "":
            depth += (sign == "{") - (sign == "}")
            if not depth:
                return True
        return False

    @property
    def token_ids(self) -> tuple[int, ...]:
        """All that was written or put in: finished steps, then the unfinished ones."""
        return (*self._history, *(token for worker in self._workers for token in worker.tokens))

    @property
    def text(self) -> str:
        """Finished steps in their order, then what the workers had not finished."""
        done = self._codec.decode(self._history)
        open_steps = [self._codec.decode(worker.tokens) for worker in self._workers]
        if len(open_steps) == 1:
            return done + open_steps[0]
        between = self.team.between
        return done + self.team.others + "".join(step + between for step in open_steps)
