"""Recorded samples of a real model as an engine: `--model replay:FILE[#model]`.

A pool holds answers to one request, the plain one for a solution (`tts.prompts.solve`), so that the
prompt itself says which problem is meant; any other request (a continuation, a revision, a verdict,
token ids) is refused and not invented. Samples are drawn without replacement: completion i of a
base seed is the i-th of an order that is shuffled by problem and base seed, so the same run draws
the same samples at any concurrency, resumed or not. Two nodes have two base seeds and draw
independently of each other.

What a sample says is its recorded answer; its recorded text goes before it where there is one.
Samples keep the temperature at which they were recorded.

Where a pool says how long its prompts were and which shape its model has, operations and memory
traffic are predicted as those of an engine that caches prompts: the first sample of a base seed
pays for the prompt, the others find it cached.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from tts import prompts
from tts.answers.groups import extract_answer
from tts.buffered_stream import as_error
from tts.costs.flops import decode_kv_bytes
from tts.engine.pools import Pool, RecordedProblem, RecordedSample, load_pool
from tts.errors import CapabilityError, EngineError, ProblemError, TTSError
from tts.protocols import BaseEngine, Capabilities, CompletionStream
from tts.types import (
    AnswerType,
    Completion,
    Embeddings,
    GenerationRequest,
    ModelInfo,
    Problem,
    Prompt,
    Sampling,
    ScoreRequest,
    StepScores,
    Usage,
)

# Turns of the event loop before each sample, in which a vote that has just been decided can close.
_TURNS = 8


class ReplayEngine(BaseEngine):
    """An `Engine` that draws from a pool.

    Args:
        pool: "FILE", "FILE#model", or a loaded pool.

    Raises:
        ProblemError: The pool cannot be read, or holds no sample.
    """

    def __init__(self, pool: str | Pool) -> None:
        self.pool = load_pool(pool) if isinstance(pool, str) else pool
        if not any(recorded.samples for recorded in self.pool.problems):
            raise ProblemError(f"{self.pool.path}: no samples to replay")
        self._by_prompt = {prompts.solve(r.problem): r for r in self.pool.problems}
        if len(self._by_prompt) < len(self.pool.problems):
            raise ProblemError(f"{self.pool.path}: two problems have the same statement")
        name, fingerprint = self.pool.series, f"replay:{self.pool.fingerprint}"
        # A shape says that operations can be told, which takes the length of prompts too.
        is_shaped = self.pool.shape is not None and self.pool.has_prompt_tokens
        shape = self.pool.shape.shape if self.pool.shape is not None and is_shaped else {}
        self.info = ModelInfo(name=name, fingerprint=fingerprint, **shape)
        self.capabilities = Capabilities(
            cancel=True,
            seed=True,
            logprobs=self.pool.has_logprobs,
            token_counts=self.pool.has_tokens,
            own_prompts=False,
        )
        self._is_closed = False

    def holds(self, problem: Problem) -> bool:
        """Return whether the pool has samples of a problem."""
        return prompts.solve(problem) in self._by_prompt

    async def start(self) -> Self:
        """Return the engine; there is nothing to load."""
        return self

    async def __aenter__(self) -> Self:
        """Return the engine."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    def generate(self, request: GenerationRequest) -> CompletionStream:
        """Draw `request.n` samples; a refusal arrives through the stream."""
        try:
            return ReplayStream(self._draw(request), request)
        except TTSError as error:
            return ReplayStream([], request, error)

    async def score(self, request: ScoreRequest) -> StepScores:
        """Refuse.

        Raises:
            CapabilityError: Always; recorded scores come from the verifier `recorded`.
        """
        raise CapabilityError(
            f"{self.info.name} is a pool and runs no reward model; its recorded scores come from "
            "the verifier 'recorded'"
        )

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Refuse.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError(f"{self.info.name} is a pool and serves no embeddings")

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Refuse.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError(f"{self.info.name} is a pool and takes no token ids")

    async def count_prompt(self, prompt: Prompt, sampling: Sampling) -> int:
        """Return the recorded tokens of a prompt, or what they do not exceed."""
        recorded = self._by_prompt.get(prompt)
        if recorded is None or recorded.prompt_tokens is None:
            return await super().count_prompt(prompt, sampling)
        return recorded.prompt_tokens

    async def aclose(self) -> None:
        """Refuse further requests; idempotent."""
        self._is_closed = True

    def _draw(self, request: GenerationRequest) -> list[Completion]:
        if self._is_closed:
            raise EngineError("the engine is closed")
        recorded = self._find(request.prompt)
        self._check(request, recorded)
        base = request.seed - request.start
        order = list(range(len(recorded.samples)))
        random.Random(f"{recorded.problem.id}\x1f{base}").shuffle(order)
        places = range(request.start, request.start + request.n)
        return [self._completion(i, p, order, recorded, request) for i, p in enumerate(places)]

    def _find(self, prompt: Prompt) -> RecordedProblem:
        recorded = self._by_prompt.get(prompt)
        if recorded is None:
            raise CapabilityError(
                f"the pool {self.pool.path} holds only plain solutions of its own problems "
                "(benchmark 'pool'); it cannot answer another prompt or continue a text"
            )
        return recorded

    def _check(self, request: GenerationRequest, recorded: RecordedProblem) -> None:
        sampling = request.sampling
        if sampling.extra_body or sampling.chat_template_kwargs:
            raise CapabilityError(
                f"{self.info.name} is a pool; it takes no extra_body or chat_template_kwargs"
            )
        if sampling.logprobs is not None and not self.pool.has_logprobs:
            raise CapabilityError(f"{self.info.name} is a pool without log-probabilities")
        if sampling.stop:
            raise CapabilityError(f"{self.info.name} is a pool; it cannot stop at other strings")
        if sampling.temperature == 0 and len(recorded.samples) > 1:
            raise CapabilityError(
                f"{self.info.name} is a pool of samples at a temperature; it has no greedy one"
            )

    def _completion(
        self,
        index: int,
        place: int,
        order: Sequence[int],
        recorded: RecordedProblem,
        request: GenerationRequest,
    ) -> Completion:
        if place >= len(order):
            error = f"the pool holds {len(order)} samples of problem {recorded.problem.id!r}"
            return Completion(index, "", "error", Usage(), error=error)
        sample = recorded.samples[order[place]]
        text = _text(sample, recorded.problem.answer_type)
        limit, tokens = request.sampling.max_tokens, sample.tokens
        is_cut = tokens is not None and tokens > limit
        if is_cut and tokens is not None:  # what was written by then, as far as it is known
            text, tokens = sample.text[: len(sample.text) * limit // tokens], limit
        is_asked = request.sampling.logprobs is not None
        return Completion(
            index=index,
            text=text,
            token_ids=sample.token_ids[:limit],
            logprobs=_first(sample.logprobs, limit) if is_asked else None,
            confidences=_first(sample.confidences, limit) if is_asked else None,
            finish_reason="length" if is_cut else "stop",
            usage=self._usage(recorded, sample, tokens, is_first=place == 0),
            score=None if is_cut else sample.score,
            step_scores=() if is_cut else sample.step_scores,
        )

    def _usage(
        self,
        recorded: RecordedProblem,
        sample: RecordedSample,
        tokens: int | None,
        *,
        is_first: bool,
    ) -> Usage:
        known = replace(Usage.unknown(), generated_tokens=tokens, seconds=sample.seconds)
        prompt = recorded.prompt_tokens
        if prompt is None:
            return known
        read = None if tokens is None else decode_kv_bytes(self.info, prompt, tokens)
        return replace(
            known,
            prompt_tokens=prompt,
            cached_tokens=0 if is_first else prompt,
            kv_bytes=read,
            dense_kv_bytes=read,
        )


class ReplayStream:
    """Hands out recorded samples one by one; one that is not asked for is not drawn or charged."""

    def __init__(
        self, waiting: list[Completion], request: GenerationRequest, error: TTSError | None = None
    ) -> None:
        self._waiting = waiting[::-1]
        self._error = error
        self._request = request

    def __aiter__(self) -> Self:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> Completion:
        """Return the next sample; see `tts.protocols.CompletionStream`."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if self._error is not None:
            raise as_error(self._error, "replay")
        if not self._waiting:
            raise StopAsyncIteration
        return self._waiting.pop()

    async def aclose(self) -> Usage:
        """Draw no more; what was not returned costs nothing."""
        self._waiting.clear()
        self._error = None
        return Usage()


def _first(values: tuple[float, ...] | None, number: int) -> tuple[float, ...] | None:
    return None if values is None else values[:number]


def _text(sample: RecordedSample, answer_type: AnswerType) -> str:
    """Return a text whose final answer is the recorded one."""
    if sample.answer is None:
        text = sample.text
        return text if text and extract_answer(text, answer_type) is None else ""
    said = [sample.text] if sample.text else []
    is_code = answer_type == "code"
    mark = f"```\n{sample.answer}\n```" if is_code else f"\\boxed{{{sample.answer}}}"
    marked = "\n\n".join([*said, mark])
    forms = [*said, marked, f"<answer>{sample.answer}</answer>", sample.answer]
    answer = sample.answer.strip("\n" if is_code else None)  # code's indentation is part of it
    same = (form for form in forms if extract_answer(form, answer_type) == answer)
    return next(same, marked)
