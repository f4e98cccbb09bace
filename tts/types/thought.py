"""Thoughts: how a turn begins with one, the marks that our texts use, waves on its words."""

from dataclasses import dataclass
from typing import Literal

THOUGHT_START, THOUGHT_END = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Thought:
    """How an assistant's turn begins in a model that thinks; each model has marks of its own.

    Attributes:
        stage: The thought is open and goes on; it is closed and the answer follows; it is skipped,
            in the way that the model knows.
        text: The words that it has so far; none where it is skipped.
    """

    stage: Literal["open", "closed", "skipped"]
    text: str = ""

    @property
    def written(self) -> str:
        """The thought between `<think>` and `</think>`, as texts of ours show it."""
        if self.stage == "skipped":
            return f"{THOUGHT_START}\n\n{THOUGHT_END}\n\n"
        if self.stage == "open":
            return f"{THOUGHT_START}\n{self.text}"
        text = self.text.rstrip("\N{REPLACEMENT CHARACTER}")
        newline = "" if text.endswith("\n") or not text else "\n"
        return f"{THOUGHT_START}\n{text}{newline}{THOUGHT_END}\n\n"

    def __post_init__(self) -> None:
        """Refuse words of a thought that is skipped."""
        if self.stage == "skipped" and self.text:
            raise ValueError("a thought that is skipped has no words")


@dataclass(frozen=True, slots=True)
class Reflection:
    """A triangular wave on the logits of reflection words (`tts.engine.reflection`).

    Attributes:
        amplitude: Most that is added to a logit, and taken from it.
        period: Tokens of one wave.
        shift: Share of a period by which the wave is ahead.
        until: Generated tokens after which nothing is added.
        words: To the letter and the space before; those that are one token take part.
    """

    amplitude: float = 3.0
    period: int = 600
    shift: float = 0.0
    until: int = 8192
    words: tuple[str, ...] = ("wait", "Wait", "but", "But", "Alternatively")


def held_back(text: str, mark: str) -> int:
    """Return how many characters at the end of a text that grows may be the beginning of a mark."""
    return next((n for n in range(len(mark) - 1, 0, -1) if text.endswith(mark[:n])), 0)
