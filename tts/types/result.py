"""What comes of a problem: an answer, its grade, and all that led to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tts.types.card import shorten, to_html
from tts.types.facts import RunFacts
from tts.types.problem import Problem
from tts.types.trajectory import Support, Trajectory
from tts.types.usage import Usage


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer.

    Attributes:
        text: As the winning trajectory wrote it.
        canonical: Canonical form, the key of its class of equal answers.
        support: How well it is backed.
    """

    text: str
    canonical: str
    support: Support


@dataclass(frozen=True, slots=True)
class Grade:
    """An answer against the reference; `correct` is None when nobody can tell, with the reason."""

    correct: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a trace: seconds since the problem began, what, at which node, and details."""

    seconds: float
    kind: str
    node: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """What came of one problem; a notebook shows it as a short card.

    Attributes:
        problem: The problem.
        answer: The final answer; None when there is none.
        reason: Why there is no answer, or what is missing from a partial one; empty otherwise.
        trajectories: Those that reached the sink, best first, and those that they came from.
        usage: Everything spent, wasted work included; `seconds` is wall time.
        trace: What happened, in order, for people and viewers; `facts` says it as values.
        seed: The run's seed.
        preset: Name of the preset or pipeline.
        engine: Description of the engine.
        samples: Every finished trajectory drawn, kept or not, by node and index.
        facts: What happened: stopping rules, warnings, failures, limits that were met.
    """

    problem: Problem
    answer: Answer | None
    reason: str
    trajectories: tuple[Trajectory, ...]
    usage: Usage
    trace: tuple[Event, ...]
    seed: int
    preset: str
    engine: str
    samples: tuple[Trajectory, ...] = ()
    facts: RunFacts = field(default_factory=RunFacts)

    def __repr__(self) -> str:
        """Return one short line: answer, support and cost, not the whole of it."""
        shown = ", ".join(f"{name}={value!r}" for name, value in self._card())
        return f"Result({shown})"

    def _repr_html_(self) -> str:
        """Return the card that a notebook shows."""
        return to_html(self._card())

    def _card(self) -> list[tuple[str, object]]:
        support = self.answer.support if self.answer else None
        seconds = self.usage.seconds
        return [
            ("problem", shorten(self.problem.id)),
            ("answer", shorten(self.answer.text) if self.answer else None),
            *([("votes", f"{support.votes} of {support.voters}")] if support else []),
            ("samples", len(self.samples)),
            ("tokens", self.usage.generated_tokens),
            ("seconds", None if seconds is None else round(seconds, 2)),
            ("preset", self.preset),
            ("seed", self.seed),
            ("engine", self.engine),
            *([("reason", shorten(self.reason))] if self.reason else []),
        ]
