"""Train, calibration and test kept apart by a hash of what is asked."""

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from typing import Literal, Protocol, TypeVar, get_args

from tts.errors import ProblemError

Split = Literal["train", "calibration", "test"]
LEVELS = (1, 2, 3, 4, 5)


class Keyed(Protocol):
    """A drawn puzzle; puzzles with one key ask the same thing, however they are worded."""

    @property
    def key(self) -> str:
        """What is asked, without the wording."""
        ...


P = TypeVar("P", bound=Keyed)


def split_of(key: str) -> Split:
    """Return the only split that may hold `key`: a tenth test, a tenth calibration, rest train."""
    bucket = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 10
    return "test" if bucket == 0 else "calibration" if bucket == 1 else "train"


def check_split(split: str) -> Split:
    """Return `split`, or raise ProblemError naming the splits that exist."""
    for known in get_args(Split):
        if split == known:
            return known  # type: ignore[no-any-return]
    raise ProblemError(f"no split '{split}'; there are {', '.join(get_args(Split))}")


def draw_in_split(draw: Callable[[random.Random], P], split: Split, rng: random.Random) -> P:
    """Draw until the puzzle belongs to `split`."""
    while True:
        puzzle = draw(rng)
        if split_of(puzzle.key) == split:
            return puzzle


def distinct(draw: Callable[[random.Random], P], split: Split, seed: str) -> Iterator[P]:
    """Yield puzzles of `split`, no key twice; the same sequence for the same seed."""
    rng = random.Random(seed)
    seen: set[str] = set()
    while True:
        puzzle = draw_in_split(draw, split, rng)
        if puzzle.key not in seen:
            seen.add(puzzle.key)
            yield puzzle


def split_steps(text: str) -> list[str]:
    """Return the steps of a solution: its non-empty paragraphs."""
    return [part.strip() for part in text.split("\n\n") if part.strip()]


def find_boxed(text: str) -> str | None:
    r"""Return what the last closed `\boxed{...}` without inner braces holds."""
    found = re.findall(r"\\boxed\{([^{}]*)\}", text)
    return found[-1].strip() if found else None
