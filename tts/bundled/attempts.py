"""What the corpus asks of a training problem, and what its tasks share in writing it."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Protocol

from tts.types import Problem

Span = tuple[int, int]
MAX_SHOWN = 60  # characters of an attempt's step that a check repeats


@dataclass(frozen=True, slots=True)
class Slip:
    """A step that may be one: its text, whether it is right, and the character that tells."""

    text: str
    right: bool
    place: int
    result: int


def throw(rng: random.Random, equation: str) -> Slip:
    """Write an equation, or one with a slip for its result; both part at the same place."""
    left, _, result = equation.rpartition(" ")
    wrong = str(slip(rng, int(result)))
    right = rng.random() < 0.5
    place = len(commonprefix([result, wrong]))  # noqa: RUF071 - of characters
    shown = result if right else wrong
    return Slip(f"{left} {shown}", right, len(left) + 1 + place, int(shown))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a check: what was worked out beside what the attempt has, and the judgement."""

    text: str
    right: bool


def compare(own: str, step: str, right: bool) -> Line:
    """Write what a step should be beside what the attempt has."""
    shown = " ".join(step.split())[:MAX_SHOWN]
    return Line(f"{own}; attempt {shown or 'ends'}", right)


def judge(lines: Iterable[Line]) -> str:
    """Write a check: its lines up to the first that is wrong, and the verdict."""
    texts, right = [], True
    for line in lines:
        right = right and line.right
        texts.append(f"{line.text}, {'right' if right else 'wrong'}")
        if not right:
            break
    return "\n\n".join([*texts, f"Verdict: {'correct' if right else 'incorrect'}"])


def think(thought: str, answer: str) -> str:
    """Put a thought before an answer, as reasoning models do."""
    return f"<think>\n{thought}\n</think>\n\n{answer}"


class Task(Protocol):
    """What the corpus asks of a training problem."""

    @property
    def problem(self) -> Problem:
        """The problem itself."""
        ...

    @property
    def solution(self) -> str:
        """Right steps and the boxed answer."""
        ...

    @property
    def boxed(self) -> str:
        """The boxed answer alone."""
        ...

    def wrong(self, rng: random.Random) -> str:
        """Return an attempt that ends wrongly."""
        ...

    def slips(self, rng: random.Random) -> list[Slip]:
        """Return steps of which each is a slip or not by the throw of a coin."""
        ...

    def check(self, attempt: str) -> str:
        """Return a check of each step that ends with the right verdict."""
        ...

    def choose(self, attempts: Sequence[str]) -> str:
        """Return the answer to a choice among attempts."""
        ...

    def thought(self, rng: random.Random) -> tuple[str, list[Span]]:
        """Return a thought with self-checks, and the spans of its planted errors."""
        ...


def slip(rng: random.Random, value: int) -> int:
    """Return a near miss of a result: one digit off, a lost carry, another digit."""
    while True:
        kind = rng.random()
        if kind < 0.5:
            place = (1, 10, 100)[rng.randrange(len(str(value)))]
            wrong = value + rng.choice((-1, 1)) * place * rng.choice((1, 1, 1, 2))
        elif kind < 0.7:
            wrong = value + rng.choice((-10, 10, -100, 100))
        elif kind < 0.85:
            digits = list(str(value))
            digits[rng.randrange(len(digits))] = str(rng.randrange(10))
            wrong = int("".join(digits))
        else:
            wrong = value + rng.randint(-12, 12)
        if wrong != value and 0 <= wrong <= 999:
            return wrong
