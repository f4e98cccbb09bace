"""What an engine is: prompts in, completions out, and what it can tell of itself."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol, Self

from tts.errors import CapabilityError
from tts.types import (
    Completion,
    Embeddings,
    GenerationRequest,
    Likelihood,
    ModelInfo,
    Problem,
    Prompt,
    ReadStates,
    Sampling,
    ScoreRequest,
    StateSpec,
    StepScores,
    Usage,
)

_MESSAGE_TOKENS = 16
_TEMPLATE_TOKENS = 64


_WORDS = {
    "token_ids": "prompts as token ids",
    "logprobs": "log-probabilities of tokens",
    "prefix_cache": "a cache of prefixes",
    "cancel": "requests that end at once",
    "seed": "seeds",
    "logits_processors": "logits processors",
    "rewards": "scores of a reward model",
    "embeddings": "embeddings",
    "token_counts": "counts of tokens",
    "own_prompts": "answers to prompts of its own",
    "certainties": "certainties of tokens",
    "thoughts": "thoughts that can be switched",
    "thinks": "a model that thinks",
    "states": "hidden states",
    "likelihood": "likelihoods of given texts",
    "teams": "workers over one cache",
    "tool_calls": "tool calls",
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do; known before a token is spent.

    Attributes:
        token_ids: Takes prompts as token ids, reports generated ids, and serves `tokenize`.
        logprobs: Reports log-probabilities of generated tokens.
        prefix_cache: Reuses the KV blocks of a shared prefix and reports how many tokens it reused.
        cancel: A closed stream stops generating at once.
        seed: The same seed gives the same completion, within the engine's numerics.
        logits_processors: Runs custom logits processors.
        rewards: Serves reward models through `score`.
        embeddings: Serves `embed`.
        token_counts: Reports how many tokens it generated.
        own_prompts: Answers any prompt, and not only those that were recorded.
        certainties: Reports entropy and self-certainty of generated tokens.
        thoughts: Its model can be made to think before it answers, or not to.
        thinks: Its model thinks where nothing is said; known once an embedded engine has started.
        states: Gives hidden states, with completions where it generates, and by `read_states`.
        likelihood: Serves `likelihood`.
        teams: Has teams write completions (`GenerationRequest.team`).
        tool_calls: Takes `tools` and `tool_choice` as OpenAI's protocol writes them, and its text
            holds calls as `tts.answers.exact.tool_calls` reads them; until it turns out otherwise.
    """

    token_ids: bool = False
    logprobs: bool = False
    prefix_cache: bool = False
    cancel: bool = False
    seed: bool = False
    logits_processors: bool = False
    rewards: bool = False
    embeddings: bool = False
    token_counts: bool = True
    own_prompts: bool = True
    certainties: bool = False
    thoughts: bool = False
    thinks: bool = False
    states: bool = False
    likelihood: bool = False
    teams: bool = False
    tool_calls: bool = False

    def missing(self, needs: frozenset[str]) -> list[str]:
        """Return the names in `needs` that this engine lacks, sorted."""
        have = {f.name for f in fields(self) if getattr(self, f.name)}
        return sorted(needs - have)

    def lacks(self, needs: frozenset[str]) -> str:
        """Return, for people, what of `needs` this engine lacks; empty for nothing."""
        *others, last = [_WORDS.get(name, name) for name in self.missing(needs)] or [""]
        return f"{', '.join(others)} and {last}" if others else last


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an embedded engine tells of itself once it has started.

    Attributes:
        info: Of its model.
        capabilities: What it can do.
    """

    info: ModelInfo
    capabilities: Capabilities

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self | None:
        """Read what `to_values` wrote; None where another version did, which told other things."""
        info, capabilities = values["info"], values["capabilities"]
        for kind, told in ((ModelInfo, info), (Capabilities, capabilities)):
            if told.keys() != {field.name for field in fields(kind)}:
                return None
        return cls(ModelInfo(**info), Capabilities(**capabilities))

    def to_values(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


class CompletionStream(Protocol):
    """Completions of one request, in order of arrival.

    An object and not an async generator, so that a cancelled reader cannot leak into another task.
    """

    def __aiter__(self) -> Self:
        """Return the stream itself."""
        ...

    async def __anext__(self) -> Completion:
        """Return the next completion to finish.

        Raises:
            StopAsyncIteration: All `n` were returned, or the stream was closed.
            EngineError: The engine died, or refused the request.
        """
        ...

    async def aclose(self) -> Usage:
        """Abort what still runs and return once the engine has acknowledged.

        Returns what all completions cost that `__anext__` did not return: the aborted ones, with
        the tokens that they had generated, and those that finished unread. Every call returns the
        same figure.
        """
        ...


class Engine(Protocol):
    """Turns prompts into completions."""

    @property
    def info(self) -> ModelInfo:
        """The model's shape, context and price."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        ...

    async def start(self) -> Self:
        """Load the model, or reach the server, and return once it can be asked; idempotent.

        Raises:
            EngineError: It cannot start.
        """
        ...

    def generate(self, request: GenerationRequest) -> CompletionStream:
        """Start `request.n` completions; errors arrive through the stream."""
        ...

    async def score(self, request: ScoreRequest) -> StepScores:
        """Run a reward model.

        Raises:
            CapabilityError: This engine serves no reward model.
        """
        ...

    async def read_states(
        self, prompt: Prompt, token_ids: Sequence[int], spec: StateSpec
    ) -> ReadStates:
        """Return the hidden states of a given text, as it would have come with them.

        Args:
            prompt: What stands before the text.
            token_ids: The text. Its last token is not read: the state there is that which draws it.
            spec: Which states.

        Raises:
            CapabilityError: This engine gives no states, or not those of such layers.
        """
        ...

    async def likelihood(self, prompt: Prompt, text: str) -> Likelihood:
        """Return how likely each token of a given text is after a prompt, at temperature 1.

        Args:
            prompt: What stands before the text; its prefill, if any, is read with it.
            text: It; without tokens nothing is read.

        Raises:
            CapabilityError: This engine gives no likelihoods.
            ContextError: Both are too long together.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return a vector for each text, at least one.

        Raises:
            CapabilityError: This engine serves no embeddings.
        """
        ...

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a text that continues a prompt: without special tokens.

        Raises:
            CapabilityError: This engine takes no token ids.
            EngineError: It cannot be asked.
        """
        ...

    async def count_prompt(self, prompt: Prompt, sampling: Sampling) -> int:
        """Return the tokens of a prompt as `generate` would send it, or what they do not exceed.

        Raises:
            CapabilityError: The prompt cannot be rendered.
            EngineError: It cannot be asked.
        """
        ...

    def kv_usage(self) -> float | None:
        """Return the fraction of KV blocks that running requests hold; None if it cannot tell."""
        ...

    def num_preemptions(self) -> int | None:
        """Return how often a running request has lost its KV blocks, so far; None as above."""
        ...

    def tokens_in_flight(self) -> int:
        """Return the tokens that unfinished completions have so far; 0 if it cannot tell.

        Cheap, and for progress: what they cost is told when they end.
        """
        ...

    def holds(self, problem: Problem) -> bool:
        """Return whether it can answer a problem; one that only replays samples may lack it."""
        ...

    async def forget(self) -> None:
        """Drop what requests left behind, so that a measurement owes nothing to the last one.

        Raises:
            EngineError: Requests are running.
        """
        ...

    async def aclose(self) -> None:
        """Abort everything and free the model; idempotent."""
        ...


def prompt_token_bound(prompt: Prompt) -> int:
    """Return a number of tokens that a prompt does not exceed.

    Exact for token ids; otherwise one token per byte, and room for what a chat template adds to
    each message and of its own, such as a system message or a date.
    """
    if prompt.token_ids:
        return len(prompt.token_ids)
    said = [text for message in prompt.messages for text in (message.content, message.extra)]
    of_template = _TEMPLATE_TOKENS + _MESSAGE_TOKENS * len(prompt.messages)
    texts = (prompt.text, prompt.beginning, *said)
    in_text = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return in_text + (of_template if prompt.messages else 0)


def request_parts(
    request: GenerationRequest, indices: Sequence[int]
) -> dict[int, GenerationRequest]:
    """Return requests for some completions of one alone, by the index at which each begins.

    Args:
        request: The whole.
        indices: Of the completions, ascending; each run of neighbours is a request.
    """
    sizes: dict[int, int] = {}
    first = last = -2
    for index in indices:
        first = first if index == last + 1 else index
        sizes[first] = sizes.get(first, 0) + 1
        last = index
    return {first: _part(request, first, n) for first, n in sizes.items()}


def _part(request: GenerationRequest, first: int, n: int) -> GenerationRequest:
    watch = request.watch
    shifted = watch and (lambda index, text: watch(first + index, text))
    seed, start = request.seed + first, request.start + first
    return replace(request, n=n, seed=seed, start=start, watch=shifted)


def check_team_request(sampling: Sampling, states: StateSpec | None = None) -> None:
    """Refuse to ask of a team what no engine reports or does for one.

    Args:
        sampling: How its tokens are to be drawn.
        states: Hidden states that are to come with its completions; None for none.

    Raises:
        CapabilityError: Something is asked that is had of a single writer alone.
    """
    asked = {
        "log-probabilities": sampling.logprobs is not None,
        "certainties": sampling.certainties,
        "offsets": sampling.offsets,
        "a wave on reflection words": sampling.reflection is not None,
        "stop strings": bool(sampling.stop),
        "further sampling parameters (extra_body)": bool(sampling.extra_body),
        "hidden states": states is not None,
    }
    if found := [name for name, is_asked in asked.items() if is_asked]:
        raise CapabilityError(
            f"workers over one cache have no {' and no '.join(found)}: leave that out, or choose "
            "the preset hogwild_lagged"
        )


class BaseEngine:
    """What an engine says that has no KV cache of its own to tell of, and forgets by itself.

    Engines extend it and override what they know better.
    """

    __slots__ = ()

    async def start(self) -> Self:
        """Return the engine: there is nothing to load."""
        return self

    async def count_prompt(self, prompt: Prompt, sampling: Sampling) -> int:
        """Return what the tokens do not exceed: it cannot count them."""
        return prompt_token_bound(prompt)

    async def read_states(
        self, prompt: Prompt, token_ids: Sequence[int], spec: StateSpec
    ) -> ReadStates:
        """Refuse: it gives no states.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError(
            "this engine gives no hidden states; an embedded model does, MODEL?pooling too"
        )

    async def score(self, request: ScoreRequest) -> StepScores:
        """Refuse: it serves no reward model.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError("this engine serves no reward models")

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Refuse: it serves no embeddings.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError("this engine generates; it serves no embeddings")

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Refuse: it takes no token ids.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError("this engine takes no token ids")

    async def likelihood(self, prompt: Prompt, text: str) -> Likelihood:
        """Refuse: it gives no likelihoods.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError(
            "this engine gives no likelihoods; an embedded model and vLLM's server do"
        )

    def kv_usage(self) -> float | None:
        """Return None: it cannot tell."""
        return None

    def num_preemptions(self) -> int | None:
        """Return None: it cannot tell."""
        return None

    def tokens_in_flight(self) -> int:
        """Return 0: it cannot tell."""
        return 0

    def holds(self, problem: Problem) -> bool:
        """Return True: it answers any problem."""
        return True

    async def forget(self) -> None:
        """Do nothing: no request leaves anything behind."""
