"""The public runtime: solves problems by presets, and owns the engines and verifiers they need."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tts.budget import to_budget
from tts.engine.answer_form import FIELDS
from tts.engine.made_of import made_of
from tts.engine.options import check_extra_body
from tts.engine.spec import EngineSpec
from tts.errors import EngineError
from tts.parts.build import content_of
from tts.pipeline import Pipeline
from tts.presets.load import Preset
from tts.protocols import Engine, EngineFacts, Verifier
from tts.runtime.job import Job
from tts.runtime.log import GenerationLog
from tts.runtime.log_file import LogFile
from tts.runtime.runtime import DEFAULT_MAX_LIVE_KV
from tts.runtime.runtime import Runtime as Core
from tts.session.arguments import to_int, to_preset, to_problems, to_text, wrong_type
from tts.session.fit import check_fit
from tts.session.opening import Opened, to_parts
from tts.types import Budget, Problem, Result, Sampling, Usage

DEFAULT_MODEL = "bundled:reasoner"
DEFAULT_PRESET = "self_consistency"


class Users:
    """Counts who uses something that may be exchanged only while nobody does."""

    def __init__(self) -> None:
        self._number = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def join(self) -> None:
        """Count one user more."""
        self._number += 1
        self._is_idle.clear()

    def leave(self) -> None:
        """Count one user less."""
        self._number -= 1
        if not self._number:
            self._is_idle.set()

    async def gone(self) -> None:
        """Return once there is no user."""
        await self._is_idle.wait()


class Runtime:
    """Solves problems by presets or pipelines, on engines and verifiers that it owns.

        async with tts.Runtime("Qwen/Qwen3-8B", models={"prm": "Qwen/Qwen2.5-Math-PRM-7B"}) as run:
            result = await run.run("best_of_n", "What is 7 * 8?", budget="8k")

    An engine that is given by name is loaded with the first problem that needs it, and so is each
    reward model that a preset names. Those that are embedded share the memory of a GPU: where a
    later preset asks for one more, the others are started anew with less, once nothing runs.
    Leaving the block, or `aclose`, closes them all, those that were given as objects too.
    """

    def __init__(
        self,
        engine: Engine | str = DEFAULT_MODEL,
        *,
        engine_args: Mapping[str, Any] | None = None,
        engines: Mapping[str, Engine | str] | None = None,
        models: Mapping[str, str] | None = None,
        verifiers: Mapping[str, Verifier] | None = None,
        run_budget: Budget | str | None = None,
        max_problems: int | None = None,
        max_live_kv: float | None = DEFAULT_MAX_LIVE_KV,
        log: Path | str | None = None,
        unsafe_execution: bool = False,
        ray: str | None = None,
    ) -> None:
        """Describe the runtime; nothing is loaded yet.

        Args:
            engine: An engine, or its line of text: a Hugging Face id, a folder, "bundled:reasoner",
                "MODEL@URL" for a model on an OpenAI-compatible server, "@URL" for its only model,
                "MODEL@URL,URL" for several servers of one model,
                "replay:FILE[#MODEL]" for recorded samples.
            engine_args: Options of an engine that is given as text. Embedded engines take the names
                of vLLM's `EngineArgs` (`dtype`, `max_model_len`, `gpu_memory_utilization`, ...),
                `sparse`, `shared_prefix` and `cpu_threads`; servers take `timeout`,
                `connect_timeout`, `read_timeout`, `max_retries`, `max_n`, `concurrency`, `rate`,
                `price_in`, `price_out`, `api_key_env` and `context_tokens`. "draft.dtype" is an
                option of the engine `draft`.
            engines: Further engines that presets may ask, by name.
            models: Model by verifier name, in place of the verifier's default.
            verifiers: Your own, by the name that pipelines use.
            run_budget: Hard limits on everything that this runtime does.
            max_problems: Most problems in flight; None is 64 for each server of the engine.
            max_live_kv: Part of an engine's KV cache that the trees of all searches may fill; None
                lets all grow.
            log: File that keeps every sample, so that none is drawn twice; None keeps them in
                memory. What was in flight when a process that wrote it was killed counts against
                `run_budget`.
            unsafe_execution: Let the verifier `execution` run code even where nothing isolates it.
            ray: Address of a Ray cluster ("auto", "HOST:PORT", "local") whose machines run the
                embedded engines, each in as many copies as fit; None runs them in this process.

        Raises:
            InputError: An argument is wrong; the message names it.
        """
        self.parts = to_parts(
            engine,
            engine_args=engine_args,
            engines=engines,
            models=models,
            verifiers=verifiers,
            unsafe_execution=unsafe_execution,
            ray=ray,
        )
        self._new_core = partial(
            Core,
            run_budget=to_budget(run_budget, name="run_budget"),
            max_problems=None
            if max_problems is None
            else to_int(max_problems, "max_problems", least=1),
            max_live_kv=max_live_kv,
        )
        self._log_path = None if log is None else Path(to_text(log, "log", "a file"))
        self._log: LogFile | None = None
        self._opened = Opened(self.parts)
        self._core: Core | None = None
        self._users = Users()
        # Keeps calls apart that want engines started.
        self._opening = asyncio.Lock()
        self._is_closed = False

    @property
    def usage(self) -> Usage:
        """Everything spent so far."""
        return Usage() if self._core is None else self._core.ledger.usage

    async def __aenter__(self) -> Self:
        """Return the runtime; engines start with the first problem."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all engines and verifiers."""
        await self.aclose()

    async def run(
        self,
        preset: Preset | Pipeline | str,
        problem: Problem | str,
        *,
        overrides: Sequence[str] = (),
        sampling: Sampling | None = None,
        budget: Budget | str | None = None,
        seed: int = 0,
    ) -> Result:
        """Solve one problem.

        Args:
            preset: A preset, its name or file, or a pipeline.
            problem: Text, or a `Problem`.
            overrides: Changes to a preset that is given by name: "n=32", "sampling.top_p=0.9".
            sampling: In place of the preset's.
            budget: Hard limits, in place of the preset's: a `Budget`, or text such as "8k".
            seed: The same seed gives the same samples.

        Raises:
            InputError: An argument is wrong, or the preset cannot run on these engines.
            EngineError: A model cannot be loaded, or an engine died.
        """
        chosen = choose(preset, overrides, sampling, self.parts.models)
        self._check_own(chosen)
        job = Job.of(chosen, problem, budget=budget, seed=to_int(seed, "seed"))
        async with self.serving([chosen.pipeline]) as core:
            return await core.run(job)

    def run_many(
        self,
        preset: Preset | Pipeline | str,
        problems: Iterable[Problem | str],
        *,
        overrides: Sequence[str] = (),
        sampling: Sampling | None = None,
        budget: Budget | str | None = None,
        seed: int = 0,
    ) -> AbstractAsyncContextManager[AsyncIterator[Result]]:
        """Solve many problems at once; results come in order of completion.

            async with runtime.run_many("early_stop", problems) as results:
                async for result in results:
                    ...

        Leaving the block early cancels what still runs.

        Args:
            preset: A preset, its name or file, or a pipeline.
            problems: Texts, named "problem 0" and so on by their place, or `Problem`s.
            overrides: Changes to a preset that is given by name.
            sampling: In place of the preset's.
            budget: Hard limits for each problem, in place of the preset's.
            seed: The same seed gives the same samples.

        Raises:
            InputError: An argument is wrong. What cannot run on these engines is refused, with
                this too, on entering the block.
        """
        chosen, start = choose(preset, overrides, sampling, self.parts.models), to_int(seed, "seed")
        self._check_own(chosen)
        jobs = list(Job.of_all(chosen, to_problems(problems), budget=budget, seed=start))
        return self._run_many(chosen.pipeline, jobs)

    @asynccontextmanager
    async def _run_many(
        self, pipeline: Pipeline, jobs: Sequence[Job]
    ) -> AsyncIterator[AsyncIterator[Result]]:
        async with self.serving([pipeline]) as core, core.run_many(jobs) as results:
            yield results

    def check(self, presets: Collection[Preset]) -> None:
        """Refuse what these presets lack, or what was given and none of them asks.

        Raises:
            InputError: A verifier or an engine is unknown, nothing asks one that was given, or the
                engine has no such field of a request.
            ModelError: The model's folder holds no whole model, or none that reads these prompts.
            ContextError: Its context is too small for them.
            VerifierError: A verifier cannot work here.
        """
        for preset in presets:
            self._check_own(preset)
        self._opened.check_asked(self._opened.find([preset.pipeline for preset in presets]))

    def check_parts(self, preset: Preset) -> None:
        """Refuse a preset that names what is not there; nothing is loaded.

        Raises:
            InputError: A verifier or an engine is unknown.
            EngineError: The model cannot be used with it.
            VerifierError: A verifier cannot work here.
        """
        self._check_own(preset)
        self._opened.find([preset.pipeline])

    def made_of(self, preset: Preset) -> dict[str, Any] | None:
        """Return what decides the outputs of all engines that a preset asks; nothing is loaded.

        Returns:
            JSON values; None where only engines that have started can tell.

        Raises:
            InputError: A verifier or an engine is unknown.
            EngineError: A model cannot be used.
            VerifierError: A verifier cannot work here.
        """
        parts = self.parts
        if parts.ray is not None or parts.verifiers:
            return None
        wanted = Opened(parts).find([preset.pipeline])
        if {"", *wanted.asked} != wanted.specs.keys():  # some were given as objects
            return None
        made = made_of({**wanted.rewards, **wanted.specs})
        if made is None:
            return None
        models = {name: content_of(name, model) for name, model in parts.models.items()}
        return {**made, "verifiers": models}

    def loading_seconds(self) -> float:
        """Return the time in which models were loaded late: while problems waited for them."""
        return self._opened.loading_seconds

    async def forget(self) -> None:
        """Drop what earlier requests left in the engines, so that what follows owes them nothing.

        Cached prefixes go, and scores of texts that a reward model has read. Engines of verifiers
        that were given as objects stay as they are.

        Raises:
            EngineError: Requests are running.
        """
        await self._opened.forget()

    def _check_own(self, preset: Preset) -> None:
        """Refuse what no engine does, or what the one that samples cannot, before it is loaded."""
        extra_body = {k: v for k, v in preset.sampling.extra_body.items() if k not in FIELDS}
        preset.pipeline.check_sampling(replace(preset.sampling, extra_body=extra_body))
        own = self.parts.own
        if isinstance(own, EngineSpec) and own.kind == "vllm":
            check_extra_body(preset.sampling.extra_body)
            if self._core is None:
                check_fit(preset, own)

    @asynccontextmanager
    async def serving(
        self,
        pipelines: Collection[Pipeline],
        facts: Mapping[str, EngineFacts] | None = None,
    ) -> AsyncIterator[Core]:
        """Open what pipelines name, and keep it open while the block runs.

        Args:
            pipelines: They.
            facts: What engines of the run, by name, told of themselves before: those start with
                the first request.

        Raises:
            InputError: A verifier or an engine is unknown.
            EngineError: A model cannot be loaded, or the runtime is closed.
        """
        async with self._opening:
            core = await self._open(pipelines, facts)
            self._users.join()
        try:
            yield core
        finally:
            self._users.leave()

    async def _open(
        self, pipelines: Collection[Pipeline], facts: Mapping[str, EngineFacts] | None
    ) -> Core:
        if self._is_closed:
            raise EngineError("the runtime is closed")
        opened = self._opened
        if self._core is not None and opened.serves(pipelines):
            return self._core
        wanted = opened.find(pipelines)
        if opened.disturbs(wanted):
            await self._users.gone()
        await opened.open(wanted, facts)
        if self._core is None:
            log = self._open_log()
            self._core = self._new_core(opened.engines[""], log=log)
            if log is not None:  # what was in flight at a kill was paid as well
                self._core.ledger.record(self._core.engine.info, log.lost)
        self._core.serve(opened.engines, opened.verifiers)
        return self._core

    def _open_log(self) -> GenerationLog | None:
        if self._log_path is not None:
            self._log = LogFile(self._log_path)
        return self._log

    async def aclose(self) -> None:
        """Close engines, verifiers and the log; what still runs fails. Idempotent."""
        self._is_closed = True
        async with AsyncExitStack() as closing:
            if self._log is not None:
                closing.callback(self._log.close)
            if self._core is not None:
                closing.push_async_callback(self._core.aclose)
            closing.push_async_callback(self._opened.aclose)


def choose(
    preset: Preset | Pipeline | str,
    overrides: Sequence[str],
    sampling: Sampling | None = None,
    models: Collection[str] = (),
) -> Preset:
    """Return the preset that was asked for, with another sampling profile if one is given.

    Args:
        preset: It.
        overrides: Changes to one that is given by name.
        sampling: In place of its own.
        models: Verifiers for which a model was named, as `to_preset` takes them.

    Raises:
        InputError: An argument is wrong.
    """
    chosen = to_preset(preset, overrides, models)
    if sampling is None:
        return chosen
    if not isinstance(sampling, Sampling):
        raise wrong_type("sampling", "a Sampling", sampling)
    return replace(chosen, sampling=sampling)
