"""Every value that crosses a file.

Frozen dataclasses with slots: made once, shared freely between tasks, never changed. Text borders
(YAML, JSON Lines, HTTP) validate with pydantic and then build these.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tts.budget import Budget as Budget
from tts.types.answer_rule import AnswerRule as AnswerRule
from tts.types.card import shorten, to_html
from tts.types.facts import Failure as Failure
from tts.types.facts import GraphFigures as GraphFigures
from tts.types.facts import RunFacts as RunFacts
from tts.types.facts import SearchFigures as SearchFigures
from tts.types.facts import Stop as Stop
from tts.types.figures import Cost as Cost
from tts.types.figures import Interval as Interval
from tts.types.figures import KVBytes as KVBytes
from tts.types.figures import Summary as Summary
from tts.types.figures import Tokens as Tokens
from tts.types.kept import Kept as Kept
from tts.types.model_info import ModelInfo as ModelInfo
from tts.types.model_info import Price as Price
from tts.types.prompt_options import PromptExample as PromptExample
from tts.types.prompt_options import PromptOptions as PromptOptions
from tts.types.states import Embeddings as Embeddings
from tts.types.states import Likelihood as Likelihood
from tts.types.states import ReadStates as ReadStates
from tts.types.states import States as States
from tts.types.states import StateSpec as StateSpec
from tts.types.team import Team as Team
from tts.types.team import abreast as abreast
from tts.types.thought import Reflection as Reflection
from tts.types.thought import Thought as Thought
from tts.types.usage import Usage as Usage
from tts.types.usage import sum_usage as sum_usage

AnswerType = Literal["math", "integer", "choice", "code", "countdown", "grid", "free", "exact"]
FinishReason = Literal["stop", "length", "pruned", "cancelled", "error"]
# What a completion may report of each of its tokens, by field name.
PER_TOKEN = ("logprobs", "confidences", "entropies", "self_certainties")
Watch = Callable[[int, str], None]  # takes the index and the text so far of what grows
RECORDED = "recorded"  # name of the score that came with a completion


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat.

    Attributes:
        role: System, user, assistant or tool.
        content: Its text.
        extra: Further fields, such as the calls of tools, as the text of a JSON object.
    """

    role: str
    content: str
    extra: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """Return the turn as chat templates and servers read it."""
        further = json.loads(self.extra) if self.extra else {}
        return {"role": self.role, "content": self.content, **further}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be solved.

    Attributes:
        id: Unique within a benchmark; data, never a file name.
        statement: The problem's text.
        messages: A chat to continue, in place of `statement`.
        reference: The right answer, when it is known.
        answer_type: How answers are found and compared.
        rule: Where an answer of the type "exact" stands; None takes the whole solution.
        is_raw: The statement is sent as it stands, without a chat template.
        metadata: Level, subject, tests and the like.
        prompt: What is said around it, in place of what the preset says; None leaves that to it.
    """

    id: str
    statement: str = ""
    messages: tuple[Message, ...] = ()
    reference: str | None = None
    answer_type: AnswerType = "math"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    prompt: PromptOptions | None = None
    rule: AnswerRule | None = None
    is_raw: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent to an engine: exactly one of chat messages, text or token ids.

    Attributes:
        messages: A chat; the engine applies the model's template.
        prefill: Opening words of the assistant's turn, with `messages` only.
        thought: Stands before the prefill, with `messages` only; None leaves it to the template.
        text: Raw text, no template.
        token_ids: Exact ids, no template and no special tokens added.
    """

    messages: tuple[Message, ...] = ()
    prefill: str = ""
    text: str = ""
    token_ids: tuple[int, ...] = ()
    thought: Thought | None = None

    @property
    def beginning(self) -> str:
        """The assistant's turn as far as it is given, with our marks of a thought."""
        return (self.thought.written if self.thought else "") + self.prefill

    def __post_init__(self) -> None:
        """Refuse a prompt with none or several of the three forms."""
        if sum(map(bool, (self.messages, self.text, self.token_ids))) != 1:
            raise ValueError("a prompt is exactly one of messages, text or token_ids")
        if self.beginning and not self.messages:
            raise ValueError("prefill and thought need messages")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn; the defaults are a plain sample.

    Attributes:
        temperature: 0 is greedy.
        top_p: Nucleus; 1 keeps all.
        top_k: Candidates kept; 0 keeps all.
        min_p: Least probability relative to the likeliest token; 0 keeps all.
        max_tokens: Limit on generated tokens of one completion.
        leaves_room: `max_tokens` is nobody's choice; a runtime raises it for a model that thinks.
        stop: Strings that end a completion; the string itself is not part of the text.
        logprobs: Top log-probabilities reported for each generated token; None reports none.
        certainties: Report each token's entropy and self-certainty, where the engine can.
        offsets: Report where in the text each token ends, where the engine can.
        reflection: Wave on reflection words; None for none.
        chat_template_kwargs: Options of the model's chat template, such as `enable_thinking`.
        extra_body: Further fields of a request, as vLLM's server takes them; the embedded engine
            takes those of its `SamplingParams`, and tools and forms of answers as servers do.
    """

    temperature: float = 0.8
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_tokens: int = 2048
    leaves_room: bool = False
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    certainties: bool = False
    offsets: bool = False
    reflection: Reflection | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    extra_body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """`n` completions of one prompt; completion i is drawn with seed `seed + i`.

    Attributes:
        prompt: What to continue.
        sampling: How to draw.
        n: Number of completions.
        seed: Base seed.
        priority: Lower runs earlier where the engine queues.
        start: Completions of this prompt that earlier requests of the same node asked for; all of
            them share the base seed `seed - start`.
        keep_free: Tokens of the model's context that each completion leaves free, for what is
            asked next. Ignored by servers other than vLLM's, which cannot count the prompt first.
        states: Hidden states that come with each completion, where the engine can; None for none.
        watch: Told the index and the text so far of a completion while it grows, where the engine
            can; None where nobody reads along.
        team: Who writes each completion; its `max_tokens` is then what all of them draw, and its
            text and ids hold what was put between, too. None for the one model by itself.
    """

    prompt: Prompt
    sampling: Sampling
    n: int = 1
    seed: int = 0
    priority: int = 0
    start: int = 0
    keep_free: int = 0
    states: StateSpec | None = None
    watch: Watch | None = field(default=None, compare=False, repr=False)
    team: Team | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What one engine call returned.

    Attributes:
        index: Position in the request, 0 to n - 1.
        text: Generated text, without a matched stop string.
        finish_reason: "stop" (end of sequence or stop string), "length", "cancelled" or "error".
        usage: Of this completion alone; the shared prompt is counted in each.
        prompt_token_ids: Ids sent, when the engine knows them.
        token_ids: Ids generated, the matched stop string's included.
        stop_string: The stop string that matched; None at the end of sequence.
        logprobs: Log-probability of each generated token.
        confidences: Per token, minus the mean log-probability of the top candidates; higher is
            more certain (Fu et al. 2025, arXiv:2508.15260). Present with `sampling.logprobs`.
        entropies: Per token, of the model's distribution over the whole vocabulary, in nats, before
            temperature and truncation. Present with `sampling.certainties`, where the engine can.
        self_certainties: Of the same distributions, -(1/V) sum_j log(V p_j) over all V tokens (Kang
            et al. 2025, arXiv:2502.18581).
        offsets: Place in `text` after each token, in characters; that of a stop string's tokens is
            the end. Present with `sampling.offsets`, where the engine can tell.
        error: What went wrong, exactly when `finish_reason` is "error".
        is_unanswered: It failed for want of an answer (the server was away, busy, broken or
            silent), so that another time it may well succeed.
        score: A verifier's score that came with the completion, such as a recorded one.
        step_scores: The same for each step.
        states: Hidden states, present where the request asked for them and the engine can.
    """

    index: int
    text: str
    finish_reason: FinishReason
    usage: Usage
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    stop_string: str | None = None
    logprobs: tuple[float, ...] | None = None
    confidences: tuple[float, ...] | None = None
    entropies: tuple[float, ...] | None = None
    self_certainties: tuple[float, ...] | None = None
    offsets: tuple[int, ...] | None = None
    error: str | None = None
    score: float | None = None
    step_scores: tuple[float, ...] = ()
    is_unanswered: bool = False
    states: States | None = None


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
    support: "Support | None" = None
    error: str | None = None
    offsets: tuple[int, ...] | None = None

    def with_score(self, verifier: str, score: Score) -> "Trajectory":
        """Return a copy that also carries `score`."""
        return replace(self, scores={**self.scores, verifier: score})

    def report(self, verifier: str | None) -> str:
        """Return what a verifier said of it in words; empty where it said nothing."""
        score = self.scores.get(verifier or "")
        return score.report if score else ""


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
class ScoreRequest:
    """A prompt for a reward model.

    Attributes:
        prompt: Problem and solution in the reward model's own format.
        step_tag: The token after each step, whose positions are scored; empty scores the whole.
    """

    prompt: Prompt
    step_tag: str = ""


@dataclass(frozen=True, slots=True)
class StepScores:
    """A reward model's probabilities, one per step tag (or one in all), and their cost."""

    values: tuple[float, ...]
    usage: Usage


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
