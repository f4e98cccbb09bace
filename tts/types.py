"""Every value that crosses a file.

Frozen dataclasses with slots: made once, shared freely between tasks, never changed. Text borders
(YAML, JSON Lines, HTTP) validate with pydantic and then build these.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tts.budget import Budget as Budget

FloatArray = NDArray[np.float32]
AnswerType = Literal["math", "integer", "choice", "code", "countdown", "free"]
FinishReason = Literal["stop", "length", "pruned", "cancelled", "error"]
# What a completion may report of each of its tokens, by field name.
PER_TOKEN = ("logprobs", "confidences", "entropies", "self_certainties")
RECORDED = "recorded"  # name of the score that came with a completion


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat: `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be solved.

    Attributes:
        id: Unique within a benchmark; data, never a file name.
        statement: The problem's text.
        messages: A chat to continue, in place of `statement`.
        reference: The right answer, when it is known.
        answer_type: How answers are found and compared.
        metadata: Level, subject, tests and the like.
    """

    id: str
    statement: str = ""
    messages: tuple[Message, ...] = ()
    reference: str | None = None
    answer_type: AnswerType = "math"
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent to an engine: exactly one of chat messages, text or token ids.

    Attributes:
        messages: A chat; the engine applies the model's template.
        prefill: Opening words of the assistant's turn, with `messages` only.
        text: Raw text, no template.
        token_ids: Exact ids, no template and no special tokens added.
    """

    messages: tuple[Message, ...] = ()
    prefill: str = ""
    text: str = ""
    token_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a prompt with none or several of the three forms."""
        if sum(map(bool, (self.messages, self.text, self.token_ids))) != 1:
            raise ValueError("a prompt is exactly one of messages, text or token_ids")
        if self.prefill and not self.messages:
            raise ValueError("prefill needs messages")


@dataclass(frozen=True, slots=True)
class Reflection:
    """A triangular wave on the logits of reflection words (`tts.engine.reflection`).

    Attributes:
        amplitude: Most that is added to a logit, and taken from it.
        period: Tokens of one wave.
        shift: Share of a period by which the wave is ahead.
        until: Generated tokens after which nothing is added.
        words: In any case, with or without space around; those that are one token take part.
    """

    amplitude: float = 3.0
    period: int = 600
    shift: float = 0.0
    until: int = 8192
    words: tuple[str, ...] = ("wait", "but", "alternatively")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn; the defaults are a plain sample.

    Attributes:
        temperature: 0 is greedy.
        top_p: Nucleus; 1 keeps all.
        top_k: Candidates kept; 0 keeps all.
        min_p: Least probability relative to the likeliest token; 0 keeps all.
        max_tokens: Limit on generated tokens of one completion.
        stop: Strings that end a completion; the string itself is not part of the text.
        logprobs: Top log-probabilities reported for each generated token; None reports none.
        certainties: Report each token's entropy and self-certainty, where the engine can.
        reflection: Wave on reflection words; None for none.
        extra: Engine-specific settings, passed through as they are.
    """

    temperature: float = 0.8
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_tokens: int = 2048
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    certainties: bool = False
    reflection: Reflection | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent. None means unknown, and a sum with an unknown part is unknown.

    Attributes:
        prompt_tokens: Tokens sent, cache hits included.
        scored_tokens: The part of `prompt_tokens` that reward models ran over: no cached ones.
        checking_tokens: The part of `generated_tokens` that judged others' work, or recalled facts
            for it; never wasted.
        cached_tokens: The part of `prompt_tokens` whose KV blocks were already resident.
        generated_tokens: Tokens sampled, those of pruned and cancelled trajectories included.
        wasted_tokens: The part of `generated_tokens` whose trajectory reached no sink.
        calls: Sequences asked for; one request for n completions counts n.
        reused_tokens: The part of `generated_tokens` that came from the run's log, not the engine.
        kv_block_seconds: KV blocks held, integrated over time.
        peak_kv_blocks: Most KV blocks held at once; sums take the larger.
        flops: Predicted floating-point operations.
        seconds: Wall time of one call, summed over calls; of a result, its whole wall time.
        usd: Dollars.
        kv_bytes: KV cache that decoding read, page summaries included, predicted from the lengths.
        dense_kv_bytes: What it would have read if attention had left nothing out.
    """

    prompt_tokens: int | None = 0
    cached_tokens: int | None = 0
    generated_tokens: int | None = 0
    wasted_tokens: int | None = 0
    calls: int = 0
    reused_tokens: int = 0
    kv_block_seconds: float | None = 0.0
    peak_kv_blocks: int | None = 0
    flops: float | None = 0.0
    seconds: float | None = 0.0
    usd: float | None = 0.0
    scored_tokens: int | None = 0
    checking_tokens: int | None = 0
    kv_bytes: int | None = 0
    dense_kv_bytes: int | None = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Add field by field; `peak_kv_blocks` takes the larger."""
        return sum_usage((self, other))


_USAGE_FIELDS = tuple(f.name for f in fields(Usage))
_USAGE_SUMS = tuple(max if name == "peak_kv_blocks" else sum for name in _USAGE_FIELDS)
_usage_values = attrgetter(*_USAGE_FIELDS)


def sum_usage(parts: Iterable[Usage]) -> Usage:
    """Add usages field by field, `peak_kv_blocks` taking the largest; none add to zero."""
    columns = zip(*map(_usage_values, parts), strict=True)
    totals = zip(_USAGE_SUMS, columns, strict=False)  # no columns of no parts
    values: list[Any] = [None if None in each else total(each) for total, each in totals]
    return Usage(*values)


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
            asked next. Only servers other than vLLM's, which count no prompt beforehand, ignore it.
    """

    prompt: Prompt
    sampling: Sampling
    n: int = 1
    seed: int = 0
    priority: int = 0
    start: int = 0
    keep_free: int = 0


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
        error: What went wrong, exactly when `finish_reason` is "error".
        score: A verifier's score that came with the completion, such as a recorded one.
        step_scores: The same for each step.
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
    error: str | None = None
    score: float | None = None
    step_scores: tuple[float, ...] = ()


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

    Attributes:
        value: In the verifier's own range.
        probability: Calibrated to [0, 1], where a calibrator exists.
        steps: One value per step, for process verifiers.
        error: Set exactly when `value` is None.
    """

    value: float | None
    probability: float | None = None
    steps: tuple[float, ...] = ()
    error: str | None = None

    def __post_init__(self) -> None:
        """Refuse a score that has both a value and an error, or neither."""
        if (self.value is None) != (self.error is not None):
            raise ValueError("a score has a value or an error, never both or neither")

    @property
    def share(self) -> float | None:
        """The probability, or a value that lies in [0, 1] as one does; None otherwise."""
        share = self.value if self.probability is None else self.probability
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
    usage: Usage = Usage()
    support: "Support | None" = None
    error: str | None = None

    def with_score(self, verifier: str, score: Score) -> "Trajectory":
        """Return a copy that also carries `score`."""
        return replace(self, scores={**self.scores, verifier: score})


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
class Price:
    """Dollars per million tokens."""

    prompt: float
    generated: float
    cached: float | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model; None where an engine cannot tell.

    Attributes:
        name: As the user named it.
        fingerprint: Changes when the model's outputs may change; part of every generation's key.
        parameters: Weights, embeddings included.
        layers: Decoder layers.
        query_heads: Attention heads.
        kv_heads: Key-value heads.
        head_size: Elements per head.
        dtype: Of weights and KV cache.
        context_tokens: Longest prompt plus completion.
        kv_block_size: Tokens per KV block.
        kv_blocks: KV blocks of the whole cache.
        price: For hosted models.
    """

    name: str
    fingerprint: str
    parameters: int | None = None
    layers: int | None = None
    query_heads: int | None = None
    kv_heads: int | None = None
    head_size: int | None = None
    dtype: str | None = None
    context_tokens: int | None = None
    kv_block_size: int | None = None
    kv_blocks: int | None = None
    price: Price | None = None


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
class Embeddings:
    """Vectors of texts, [texts, D], not normalised, and what reading the texts cost."""

    vectors: FloatArray
    usage: Usage


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a trace: seconds since the problem began, what, at which node, and details."""

    seconds: float
    kind: str
    node: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one problem.

    Attributes:
        problem: The problem.
        answer: The final answer; None when there is none.
        reason: Why there is no answer, or what is missing from a partial one; empty otherwise.
        trajectories: Those that reached the sink, best first.
        attempts: Every finished sample drawn, kept or not, by node and index.
        usage: Everything spent, wasted work included; `seconds` is wall time.
        trace: What happened, in order.
        seed: The run's seed.
        preset: Name of the preset or pipeline.
        engine: Description of the engine.
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
    attempts: tuple[Trajectory, ...] = ()
