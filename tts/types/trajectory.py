"""Attempts at a problem, and what verifiers and votes say of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tts.types.generation import FinishReason
from tts.types.states import States
from tts.types.usage import Usage

RECORDED = "recorded"  # name of the score that came with a completion


@dataclass(frozen=True, slots=True)
class Step:
    """A span of a trajectory, bounded by the step delimiter.

    Attributes:
        start: First generated token of the span.
        end: One past its last token.
        text: The step's text, without the delimiter.
        logprob: Sum of the tokens' log-probabilities, when known.
        confidence: Mean token confidence, when known.
    """

    start: int
    end: int
    text: str
    logprob: float | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A verifier's opinion of one trajectory, or why there is none.

    Which number is read: a *threshold* or a *weight* (`prune.at_least`, conditions, weighted votes,
    ensembles, run records) reads `probability_or_value`, since it speaks of how sure the verifier
    is; a *ranking* (`select`, `prune.keep`, `fuse`) reads `value`, since a calibrator keeps the
    order and may make equal what was not.

    Attributes:
        value: In the verifier's own range.
        probability: Calibrated to [0, 1], where a calibrator exists.
        steps: One value per step, for process verifiers; per test, for those that run code.
        not_run: Places in `steps` of tests that were not run: they count as failed, with 0.
        error: Set exactly when `value` is None.
        report: What was wrong, for whoever revises the attempt; empty where nothing was.
    """

    value: float | None
    probability: float | None = None
    steps: tuple[float, ...] = ()
    not_run: tuple[int, ...] = ()
    error: str | None = None
    report: str = ""

    def __post_init__(self) -> None:
        """Refuse a score that has both a value and an error, or neither."""
        if (self.value is None) != (self.error is not None):
            raise ValueError("a score has a value or an error, never both or neither")

    @property
    def probability_or_value(self) -> float | None:
        """The calibrated probability where there is one, else the value; None after a failure."""
        return self.value if self.probability is None else self.probability

    @property
    def share(self) -> float | None:
        """The same where it lies in [0, 1]; None otherwise."""
        share = self.probability_or_value
        return share if share is not None and 0.0 <= share <= 1.0 else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a trajectory came from: pipeline node, index among its siblings, seed."""

    node: str
    index: int
    seed: int


@dataclass(frozen=True, slots=True)
class Support:
    """How well an answer is backed.

    Attributes:
        votes: Trajectories that gave it.
        voters: Trajectories that gave any answer.
        weight: Sum of the votes' weights; equals `votes` when unweighted.
        probability: Posterior probability that it would win with ever more samples, or its share
            of the weight.
    """

    votes: int
    voters: int
    weight: float
    probability: float


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One attempt at a problem, finished or partial.

    Attributes:
        id: Unique within a result and the same in every run with the same seed.
        origin: Node, index and seed.
        text: Everything generated so far, from the first step.
        finish_reason: None while partial.
        parents: Ids of the trajectories that this one continues or revises.
        prompt_token_ids: The prompt's ids, when the engine knows them.
        token_ids: Ids generated after the prompt.
        steps: Spans of `text`.
        answer: Final answer found in `text`; None when there is none.
        scores: By verifier name.
        logprobs: Of each generated token, when asked for.
        confidences: Of each generated token, when asked for.
        entropies: Of each generated token, when asked for and the engine can.
        self_certainties: The same.
        states: Hidden states at some of its tokens, when asked for and the engine can.
        offsets: Where in `text` each token ends, when asked for and the engine can.
        usage: What this trajectory cost by itself, parents excluded.
        support: How well its answer is backed, once a vote has chosen it.
        error: What went wrong, when `finish_reason` is "error".
    """

    id: str
    origin: Origin
    text: str
    finish_reason: FinishReason | None
    parents: tuple[str, ...] = ()
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()
    answer: str | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    logprobs: tuple[float, ...] | None = None
    confidences: tuple[float, ...] | None = None
    entropies: tuple[float, ...] | None = None
    self_certainties: tuple[float, ...] | None = None
    states: States | None = None
    usage: Usage = field(default_factory=Usage)
    support: Support | None = None
    error: str | None = None
    offsets: tuple[int, ...] | None = None

    def with_score(self, verifier: str, score: Score) -> "Trajectory":
        """Return a copy that also carries `score`."""
        return replace(self, scores={**self.scores, verifier: score})

    def report(self, verifier: str | None) -> str:
        """Return what a verifier said of it in words; empty where it said nothing."""
        score = self.scores.get(verifier or "")
        return score.report if score else ""
