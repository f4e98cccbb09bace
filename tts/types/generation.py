"""What is asked of an engine, and what comes back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tts.types.problem import Message
from tts.types.states import States, StateSpec
from tts.types.team import Team
from tts.types.thought import Reflection, Thought
from tts.types.usage import Usage

FinishReason = Literal["stop", "length", "pruned", "cancelled", "error"]
# What a completion may report of each of its tokens, by field name.
PER_TOKEN = ("logprobs", "confidences", "entropies", "self_certainties")
Watch = Callable[[int, str], None]  # takes the index and the text so far of what grows


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
