"""The embedded vLLM: built and stepped in one thread of this process, behind an asyncio front.

Starting takes seconds instead of the half minute that vLLM's own engine process needs, and an
abort returns after at most one engine step.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from tts.buffered_stream import BufferedStream, R, as_error, only
from tts.engine import build, kv, options, translate
from tts.engine.answer_form import template_options, without_protocol
from tts.engine.chat_template import Thoughts
from tts.engine.context_room import check_context
from tts.engine.encoder import PromptEncoder, own_copy
from tts.engine.own_marks import cut_warning, to_ours, to_own, watched
from tts.engine.reflection import EXTRA_KEY
from tts.engine.requests import RequestTable
from tts.engine.reward_format import FORMATS
from tts.engine.sparse_config import SparseConfig, to_additional_config
from tts.engine.step_scores import StepReader
from tts.engine.stepper import Stepper
from tts.engine.teams import Teams, team_stream
from tts.engine.translate import Finished, Meter
from tts.errors import CapabilityError, EngineError, TTSError, innermost
from tts.protocols import BaseEngine, Capabilities, CompletionStream
from tts.types import (
    Completion,
    Embeddings,
    GenerationRequest,
    Likelihood,
    ModelInfo,
    Prompt,
    ReadStates,
    Sampling,
    ScoreRequest,
    StateSpec,
    StepScores,
    Usage,
    sum_usage,
)

Runner = Literal["generate", "pooling"]
_AnyStream = BufferedStream[Any, Any]
logger = logging.getLogger(__name__)


class VLLMEngine(BaseEngine):
    """Generates, or scores, with vLLM inside this process.

    Starts on first use, in `start`, or with `async with`. May be used from several event loops,
    each stream from one. Engines of one process take turns, one step at a time.

    Completion i of a request draws with seed `seed + i`. The same seeds give the same completions
    in the same batch; in other batches vLLM rounds differently.
    """

    def __init__(
        self,
        model: str | Path = "bundled:reasoner",
        *,
        runner: Runner = "generate",
        dtype: str = "auto",
        max_model_len: int | None = None,
        max_num_seqs: int | None = None,
        kv_cache_memory_bytes: int | None = None,
        gpu_memory_utilization: float | None = None,
        block_size: int | None = None,
        seed: int = 0,
        cpu_threads: int | None = None,
        sparse: SparseConfig | None = None,
        shared_prefix: bool = False,
        **engine_args: Any,
    ) -> None:
        """Describe the engine; nothing is loaded yet.

        `cpu_threads`, `sparse` and `shared_prefix` are ours; all other names are vLLM's own.

        Args:
            model: "bundled:NAME", a folder, or a Hugging Face id.
            runner: "generate", or "pooling" for reward models and embeddings.
            dtype: Of weights and KV cache. "auto" is the model's own, but float32 on a CPU
                without bfloat16 instructions.
            max_model_len: Context in tokens; None is the model's own, or as much of it as the KV
                cache holds, on a CPU at most 32,768.
            max_num_seqs: Most completions in one engine step; more wait. None is 256, on a CPU 128
                for a model of more than 256 MiB.
            kv_cache_memory_bytes: Size of the KV cache; None sizes it by model and memory.
            gpu_memory_utilization: Share of a GPU's memory for weights and KV cache, of those that
                engines on one GPU split; None is 0.9, for one that has it alone.
            block_size: Tokens per KV block; None is 32 on a CPU, where multiples of 16 can be
                asked for, and vLLM's choice elsewhere.
            seed: Of vLLM itself; requests carry their own.
            cpu_threads: Threads of the CPU kernels; None takes every core, one for a small model.
            sparse: Decode attends to chosen KV pages only; None is dense.
            shared_prefix: Decode reads the KV blocks that branches share once for all of them,
                on a GPU.
            **engine_args: Further arguments of vLLM's `EngineArgs`, such as
                `tensor_parallel_size` or `quantization`.

        Raises:
            ModelError: `model` is a path without a whole model, or an unknown bundled name.
            InputError: `sparse` names another page size than `block_size`, or vLLM has no such
                argument.
        """
        options.check_names(engine_args)
        self.model = str(model)
        self._files = build.find_model(self.model, engine_args)
        self._runner = runner
        self._cpu_threads = cpu_threads
        self._kv_bytes = kv_cache_memory_bytes
        self._args: dict[str, Any] = {
            "model": str(self.model if self._files is None else self._files.folder),
            "runner": runner,
            "dtype": dtype,
            "max_model_len": max_model_len,
            "max_num_seqs": max_num_seqs,
            "block_size": build.choose_block_size(block_size, sparse),
            "seed": seed,
            "scheduling_policy": "priority",
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
            "additional_config": to_additional_config(sparse, shared_prefix=shared_prefix),
            **engine_args,
        }
        if gpu_memory_utilization is not None:
            self._args["gpu_memory_utilization"] = gpu_memory_utilization
        self._info: ModelInfo | None = None
        self._encoder: PromptEncoder | None = None
        self._table = RequestTable()
        self._has_warned = False  # of thoughts that are cut
        self._preemptions: Callable[[], int] = lambda: 0
        self._steps = StepReader(self._pool_rows)
        self._stepper = Stepper(self._build, deliver=self._table.deliver, bury=self._table.bury)
        # Keeps event loops in different threads from starting or stopping the engine twice.
        self._life_lock = threading.Lock()
        self._is_started = False
        self._is_closed = False

    @property
    def info(self) -> ModelInfo:
        """The model's shape, known once the engine has started.

        Raises:
            EngineError: It has not.
        """
        if self._info is None:
            raise EngineError("the engine has not started: `await engine.start()` first")
        return self._info

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do; whether its model thinks is known once it has started."""
        generates = self._runner == "generate"
        thoughts = None if self._encoder is None else self._encoder.thoughts()
        return Capabilities(
            token_ids=True,
            logprobs=generates,
            prefix_cache=generates,
            cancel=True,
            seed=generates,
            logits_processors=generates,
            rewards=not generates,
            embeddings=not generates,
            certainties=build.reads_logits(self._args),
            states=build.reads_states(self._args),
            likelihood=generates,
            teams=generates and build.reads_states(self._args),
            thoughts=generates and (self._encoder is None or thoughts is not None),
            thinks=generates and thoughts is not None and thoughts.is_default,
        )

    async def start(self) -> Self:
        """Load the model and return once it can generate.

        Raises:
            ModelError: The model cannot be found or loaded.
            EngineError: The engine cannot start, with what to change.
            MissingExtraError: vLLM is not installed.
        """
        await asyncio.shield(asyncio.wrap_future(self._boot()))
        return self

    async def __aenter__(self) -> Self:
        """Start."""
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    def generate(self, request: GenerationRequest) -> CompletionStream:
        """Start `request.n` completions; errors arrive through the stream."""
        if (team := request.team) is not None:
            joint = team_stream(request.n, self._stepper)
            self._submit(lambda: self._teams.add(joint, request, team), joint)
            return joint
        stream = self._stream(request.n, partial(self._complete, request))
        try:
            if self._runner != "generate":
                raise CapabilityError(f"{self.model} runs as a pooling model: it cannot generate")
            if self._encoder is not None:
                # Here, so that the engine's thread need not.
                self._encoder.encode(request.prompt, template_options(request.sampling))
        except TTSError as error:
            stream.fail(error, Usage())
        else:
            self._submit(partial(self._add, stream, request), stream)
        return stream

    async def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the token ids of a prompt, as `generate` sends them without template options."""
        await self.start()
        assert self._encoder is not None
        return self._encoder.encode(prompt)

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a text that continues a prompt: without special tokens."""
        await self.start()
        assert self._encoder is not None
        return self._encoder.tokenize(text)

    async def count_prompt(self, prompt: Prompt, sampling: Sampling) -> int:
        """Return the tokens of a prompt."""
        await self.start()
        assert self._encoder is not None
        return len(self._encoder.encode(prompt, template_options(sampling)))

    async def score(self, request: ScoreRequest) -> StepScores:
        """Run a reward model.

        Raises:
            CapabilityError: The engine was not made with `runner="pooling"`, or its model has more
                than two classes.
        """
        if not request.step_tag or self._runner != "pooling":
            pooled = await self._pool(request.prompt, {"task": "classify"})
            return StepScores(translate.right_column(pooled.values), pooled.usage)
        await self.start()
        assert self._encoder is not None
        token_ids, step_ends = self._encoder.encode_steps(request.prompt, request.step_tag)
        return await self._steps.read(token_ids, step_ends)

    async def read_states(
        self, prompt: Prompt, token_ids: Sequence[int], spec: StateSpec
    ) -> ReadStates:
        """Return the hidden states of a given text, as it would have come with them.

        Args:
            prompt: What stands before the text.
            token_ids: The text. Its last token is not read: the state there is that which draws it.
            spec: Which states.

        Raises:
            CapabilityError: The engine gives no states, or not those of such layers.
            ContextError: The text is too long.
            EngineError: The engine died, or left states out.
        """
        spent = []
        for whole in (False, True):  # again if what was cached holds a place that is asked for
            stream = self._stream(1, translate.read_states)
            job = partial(self._add_reading, stream, prompt, tuple(token_ids), spec, whole)
            self._submit(job, stream)
            read = await only(stream)
            spent.append(read.usage)
            if read.states is not None:
                return ReadStates(read.states, sum_usage(spent))
        raise EngineError("vLLM left out states of the text that it read")

    async def likelihood(self, prompt: Prompt, text: str) -> Likelihood:
        """Return how likely each token of a given text is after a prompt, at temperature 1.

        Raises:
            CapabilityError: The engine was made with `runner="pooling"`.
            ContextError: Both are too long together.
            EngineError: The engine died.
        """
        await self.start()
        assert self._encoder is not None
        if self._runner != "generate":
            raise CapabilityError(f"{self.model} runs as a pooling model: it cannot generate")
        before, ids = self._encoder.encode(prompt), self._encoder.tokenize(text)
        if not ids:
            return Likelihood((), Usage())
        check_context(len(before) + len(ids), self.info.context_tokens or 0)
        stream = self._stream(1, partial(translate.likelihood, size=len(ids)))
        params = translate.likelihood_params()
        self._submit(partial(self._table.add, stream, (*before, *ids), params), stream)
        return await only(stream)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return a vector for each text, at least one, by the model's own pooling.

        Raises:
            CapabilityError: The engine was not made with `runner="pooling"`.
            ContextError: A text is too long.
            EngineError: The engine died.
        """
        prompts = [Prompt(text=text) for text in texts]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._pool(p, {"task": "embed"})) for p in prompts]
        except ExceptionGroup as errors:
            raise innermost(errors) from None
        pooled = [task.result() for task in tasks]
        vectors = np.stack([one.values for one in pooled])
        return Embeddings(vectors, sum_usage([one.usage for one in pooled]))

    def kv_usage(self) -> float:
        """Return the fraction of KV blocks that running requests hold."""
        return kv.usage(self._stepper.engine) if self._info is not None else 0.0

    async def forget(self) -> None:
        """Drop cached prefixes and step scores, so that a measurement owes nothing to the last one.

        Raises:
            EngineError: Requests are running.
        """
        await self.start()
        self._steps.forget()
        job = partial(kv.drop_prefixes, self._stepper.engine)
        await asyncio.wrap_future(self._stepper.call(job))

    def num_preemptions(self) -> int:
        """Return how often a running request has lost its KV blocks to others, so far."""
        return self._preemptions()

    def tokens_in_flight(self) -> int:
        """Return the tokens that unfinished completions have so far."""
        beside = self._stepper.beside
        by_teams = 0 if beside is None else beside.tokens_in_flight()
        return self._table.tokens_in_flight() + by_teams

    async def resident_blocks(self) -> frozenset[int]:
        """Return the ids of the KV blocks of all running requests; shared blocks count once."""
        await self.start()
        job = partial(kv.resident_blocks, self._stepper.engine)
        return await asyncio.wrap_future(self._stepper.call(job))

    async def state_bytes(self) -> int:
        """Return the memory that hidden states take which are kept now."""
        return await asyncio.wrap_future(self._stepper.call(self._table.state_bytes))

    async def aclose(self) -> None:
        """Abort everything and stop; the last engine of the process frees what all of them hold."""
        with self._life_lock:
            must_stop = self._is_started and not self._is_closed
            self._is_closed = True
        if must_stop:
            loop = asyncio.get_running_loop()
            await asyncio.shield(loop.run_in_executor(None, self._stepper.stop))

    def _build(self) -> Any:
        engine = build.build_engine(
            self._args,
            self._files,
            kv_cache_memory_bytes=self._kv_bytes,
            cpu_threads=self._cpu_threads,
        )
        # A copy: vLLM uses its own in the engine's thread.
        tokenizer = own_copy(engine.get_tokenizer())
        reward_format = FORMATS.get(engine.vllm_config.model_config.architecture)
        self._encoder = PromptEncoder(tokenizer, reward_format)
        path = None if self._files is None else self._files.folder
        self._info = translate.model_info(engine, name=self.model, path=path)
        meter = translate.build_meter(engine, self._info)
        self._table.attach(engine, meter)
        self._stepper.beside = self._teams = Teams(engine, self._encoder, meter)
        self._preemptions = kv.watch_preemptions(engine)
        return engine

    def _boot(self) -> Future[None]:
        with self._life_lock:
            if self._is_closed:
                raise EngineError("the engine is closed")
            if not self._is_started:
                self._is_started = True
                self._stepper.start()
        return self._stepper.ready

    def _stream(
        self, n: int, convert: Callable[[Finished, Meter], R]
    ) -> BufferedStream[Finished, R]:
        stream: BufferedStream[Finished, R] = BufferedStream(
            n,
            convert=lambda finished: convert(finished, self._table.meter or Meter(self.info)),
            abort=lambda: asyncio.wrap_future(
                self._stepper.call(partial(self._table.abort, stream))
            ),
        )
        return stream

    def _submit(self, job: Callable[[], None], stream: _AnyStream) -> None:
        """Run a job in the engine's thread; its failure is the stream's."""

        def fail(error: Exception) -> None:
            cause = as_error(error, "the engine failed")
            with suppress(RuntimeError):  # its event loop is closed: nobody waits
                stream.loop.call_soon_threadsafe(stream.fail, cause, Usage())

        try:
            self._boot()
        except TTSError as error:
            stream.fail(error, Usage())
        else:
            self._stepper.post(job, fail)

    def _add(self, stream: _AnyStream, request: GenerationRequest) -> None:
        assert self._encoder is not None
        self._check_states(request.states)
        sampling = without_protocol(request.sampling)
        token_ids = self._encoder.encode(request.prompt, sampling.chat_template_kwargs)
        watch = request.watch
        if thoughts := self._encoder.thoughts(request.sampling.chat_template_kwargs):
            watch = watch and watched(watch, thoughts)
            is_special = self._encoder.is_special(thoughts.mark)
            sampling = to_own(sampling, thoughts, is_special=is_special)
            self._warn_of_cuts(request, thoughts)
        room = check_context(len(token_ids), self.info.context_tokens or 0, request.keep_free)
        most = min(sampling.max_tokens, room)
        params = translate.sampling_params(sampling, max_tokens=most, is_watched=watch is not None)
        if sampling.reflection is not None:
            schedule = self._encoder.schedule(sampling.reflection)
            params = translate.with_extra(params, EXTRA_KEY, schedule)
        self._table.add(
            stream,
            token_ids,
            params,
            n=request.n,
            seed=request.seed if sampling.temperature > 0 else None,
            priority=request.priority,
            certainties=sampling.certainties,
            states=request.states,
            watch=watch,
        )

    def _add_reading(
        self,
        stream: _AnyStream,
        prompt: Prompt,
        token_ids: tuple[int, ...],
        spec: StateSpec,
        whole: bool,
    ) -> None:
        assert self._encoder is not None
        self._check_states(spec)
        before = self._encoder.encode(prompt)
        check_context(len(before) + len(token_ids) - 1, self.info.context_tokens or 0)
        params = translate.reading_params(is_pooling=self._runner == "pooling", whole=whole)
        self._table.read(stream, before, token_ids, params, spec)

    def _check_states(self, spec: StateSpec | None) -> None:
        if spec is not None and not self.capabilities.states:
            why = "its steps run in other processes, or draw several tokens at a time"
            raise CapabilityError(f"{self.model} gives no hidden states: {why}")

    def _warn_of_cuts(self, request: GenerationRequest, thoughts: Thoughts) -> None:
        warning = None if self._has_warned else cut_warning(request, self.info, thoughts)
        if warning is not None:
            self._has_warned = True
            logger.warning("%s", warning)

    def _complete(self, request: GenerationRequest, finished: Finished, meter: Meter) -> Completion:
        assert self._encoder is not None
        thoughts = self._encoder.thoughts(request.sampling.chat_template_kwargs)
        completion = translate.completion(finished, meter)
        if request.sampling.offsets:
            completion = replace(completion, offsets=self._encoder.offsets(completion))
        return completion if thoughts is None else to_ours(completion, thoughts)

    async def _pool(self, prompt: Prompt, params: Mapping[str, Any]) -> translate.Pooled:
        """Run one prompt through a pooling model."""
        if self._runner != "pooling":
            raise CapabilityError(
                f"{self.model} runs as a generator; a reward model or an embedding model needs "
                f'runner="pooling"'
            )
        stream = self._stream(1, translate.pooled)
        self._submit(partial(self._add_pooling, stream, prompt, params), stream)
        return await only(stream)

    async def _pool_rows(self, token_ids: tuple[int, ...], may_skip: bool) -> translate.Pooled:
        params = {"task": "token_classify", "skip_reading_prefix_cache": not may_skip}
        return await self._pool(Prompt(token_ids=token_ids), params)

    def _add_pooling(self, stream: _AnyStream, prompt: Prompt, params: Mapping[str, Any]) -> None:
        assert self._encoder is not None
        token_ids = self._encoder.encode(prompt)
        check_context(len(token_ids), (self.info.context_tokens or 0) + 1)
        self._table.add(stream, token_ids, translate.pooling_params(params))
