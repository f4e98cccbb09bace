"""What came of one problem in one repeat, with its samples: a line of `problems.jsonl`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from tts.types import RunFacts, Score, Trajectory, Usage


@dataclass(frozen=True, slots=True)
class Sample:
    """One finished sample of a problem.

    Attributes:
        answer: As it was written; None when there is none.
        answer_class: Equal answers of one problem and repeat have the same class, counted from 0;
            None without an answer.
        correct: Whether it equals the reference.
        tokens: Generated tokens; None where the engine did not count them.
        scores: By verifier: the probability, else the value; failed ones are left out.
        is_independent: It was drawn in view of no other sample: it is no revision, comparison or
            continuation.
        id: Of the trajectory, unique within the problem and repeat.
        node: Path of the node that drew it; with `seed`, what joins it to the lines of
            `generations.jsonl`.
        seed: That it was drawn with.
        tests: By verifier that gave each step or test 1 or 0, as one that passes or fails it does:
            "1" and "0" for each, in order; "-" for a test that was not run.
        step_scores: By any other verifier that scores steps: the score of each, in order.
    """

    answer: str | None
    answer_class: int | None
    correct: bool
    tokens: int | None
    scores: Mapping[str, float] = field(default_factory=dict)
    is_independent: bool = True
    id: str = ""
    node: str = ""
    seed: int = 0
    tests: Mapping[str, str] = field(default_factory=dict)
    step_scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, trajectory: Trajectory, answer_class: int | None, *, correct: bool) -> Self:
        """Return what is kept of a trajectory.

        Args:
            trajectory: Finished.
            answer_class: Of its answer.
            correct: Whether that equals the reference.
        """
        with_steps = {name: score for name, score in trajectory.scores.items() if score.steps}
        tests = {name: _marks(score) for name, score in with_steps.items() if _are_tests(score)}
        return cls(
            answer=trajectory.answer,
            answer_class=answer_class,
            correct=correct,
            tokens=trajectory.usage.generated_tokens,
            scores={
                name: round(number, 6)
                for name, score in trajectory.scores.items()
                if (number := score.probability_or_value) is not None
            },
            is_independent=not trajectory.parents,
            id=trajectory.id,
            node=trajectory.origin.node,
            seed=trajectory.origin.seed,
            tests=tests,
            step_scores={
                name: tuple(round(step, 6) for step in score.steps)
                for name, score in with_steps.items()
                if name not in tests
            },
        )

    def steps_by(self, verifier: str) -> tuple[float, ...] | None:
        """Return what a verifier gave each step, also where that was 0 or 1; None for nothing.

        A test that was not run counts as one that failed.
        """
        tests = self.tests.get(verifier)
        if tests is None:
            return self.step_scores.get(verifier)
        return tuple(float(mark == "1") for mark in tests)


@dataclass(frozen=True, slots=True)
class Record:
    """What came of one problem in one repeat.

    Attributes:
        id: The problem's.
        repeat: From 0.
        answer: Final answer; None when there is none.
        correct: Whether it is right; None when nobody can tell.
        usage: Everything spent on it.
        seconds: Wall time from its start to its end, in the session that finished it and with
            other problems in flight.
        error: Why there is no answer, or what is missing from a partial one; empty otherwise.
        samples: Every finished sample, in order.
        is_cut: A rule or a limit decided how many samples there are, so `samples` are no fair draw.
        facts: What happened: stopping rules, warnings, limits, figures of tree searches.
        sequential_tokens: As of its usage; None where tokens were not counted.
    """

    id: str
    repeat: int
    answer: str | None
    correct: bool | None
    usage: Usage
    seconds: float | None
    error: str
    samples: tuple[Sample, ...]
    is_cut: bool
    facts: RunFacts = field(default_factory=RunFacts)
    sequential_tokens: int | None = None

    @property
    def independent_samples(self) -> tuple[Sample, ...]:
        """Those drawn in view of no other, as pass@k and maj@k need them."""
        return tuple(sample for sample in self.samples if sample.is_independent)

    @classmethod
    def from_line(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_line` wrote."""
        kept = {f.name: values[f.name] for f in fields(cls) if f.name != "id"}
        kept["usage"] = Usage(**values["usage"])
        kept["samples"] = tuple(_sample_of(sample) for sample in values["samples"])
        kept["facts"] = RunFacts.from_values(values["facts"])
        return cls(id=values["problem"], **kept)

    def to_line(self, trace_end: int) -> dict[str, Any]:
        """Return the line's values; `trace_end` is the trace's length with this problem's part."""
        values = asdict(self)
        return {"problem": values.pop("id"), **values, "trace_end": trace_end}


def _sample_of(values: Mapping[str, Any]) -> Sample:
    steps = {name: tuple(scores) for name, scores in values.get("step_scores", {}).items()}
    return Sample(**{**values, "step_scores": steps})


def _marks(score: Score) -> str:
    skipped = set(score.not_run)
    told = ("1" if step == 1.0 else "0" for step in score.steps)
    return "".join("-" if place in skipped else mark for place, mark in enumerate(told))


def _are_tests(score: Score) -> bool:
    return set(score.steps) <= {0.0, 1.0}
