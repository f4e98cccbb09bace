"""The short way in: one call, one answer."""

import asyncio
import atexit
import threading
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from tts import catalog
from tts.engine.spec import (
    POLICY_MEMORY,
    REWARD_MEMORY,
    EngineSpec,
    close_engines,
    make_engine,
    resolve,
)
from tts.engine.vllm import VLLMEngine
from tts.errors import InputError
from tts.pipeline import Pipeline
from tts.presets import Preset, load_preset
from tts.protocols import Verifier
from tts.runtime.executor import Job
from tts.runtime.runtime import Runtime
from tts.types import Budget, Problem, Result

DEFAULT_MODEL = "bundled:reasoner"
DEFAULT_PRESET = "self_consistency"
_T = TypeVar("_T")


def solve(
    problem: str | Problem,
    *,
    preset: str | Preset = DEFAULT_PRESET,
    budget: Budget | None = None,
    seed: int = 0,
    model: str = DEFAULT_MODEL,
) -> Result:
    """Solve one problem with the embedded engine.

    The engine is kept until exit, `shutdown()`, or a call with another model. It lives in a thread
    of its own, so this works inside a running event loop too (and blocks it: there, `asolve`).

    Args:
        problem: Text, or a `Problem`.
        preset: A preset's name or file, or a loaded one.
        budget: Hard limits; the preset's own by default.
        seed: The same seed gives the same samples.
        model: A Hugging Face id, a local path, or "bundled:reasoner".

    Raises:
        InputError: The preset or the problem cannot be used.
        EngineError: The model cannot be loaded, or the engine died.
    """
    job = make_job(problem, preset=preset, budget=budget, seed=seed)
    return _SESSION.submit(_SESSION.run(job, model)).result()


async def asolve(
    problem: str | Problem,
    *,
    preset: str | Preset = DEFAULT_PRESET,
    budget: Budget | None = None,
    seed: int = 0,
    model: str = DEFAULT_MODEL,
) -> Result:
    """Like `solve`, for asynchronous callers; cancelling it aborts the work."""
    job = make_job(problem, preset=preset, budget=budget, seed=seed)
    return await asyncio.wrap_future(_SESSION.submit(_SESSION.run(job, model)))


def shutdown() -> None:
    """Free the engine that `solve` keeps; the next call starts another."""
    _SESSION.shutdown()


def make_job(
    problem: str | Problem,
    *,
    preset: str | Preset = DEFAULT_PRESET,
    budget: Budget | None = None,
    seed: int = 0,
    priority: int = 0,
) -> Job:
    """Return what a runtime needs to solve one problem by a preset.

    Raises:
        InputError: The preset cannot be used, or the problem is empty.
    """
    loaded = load_preset(preset) if isinstance(preset, str) else preset
    known = Problem(id="problem", statement=problem) if isinstance(problem, str) else problem
    if not known.statement.strip() and not known.messages:
        raise InputError("the problem is empty")
    return Job(
        pipeline=loaded.pipeline,
        problem=known,
        sampling=loaded.sampling,
        seed=seed,
        budget=budget or loaded.budget,
        preset=loaded.name,
        priority=priority,
    )


async def open_verifiers(
    pipelines: Iterable[Pipeline],
    models: Mapping[str, str] | None = None,
    *,
    engines: Mapping[str, VLLMEngine] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Verifier]:
    """Build the verifiers that pipelines name, with one engine for each reward model.

    On a GPU each takes 0.3 of the memory, so that the policy beside one has `memory=0.6`.

    Args:
        pipelines: What is to be run.
        models: Model by verifier name (without its options), in place of the verifier's default.
        engines: Reward models that run already, by model; a verifier that is closed closes its own.
        options: By verifier name, for what its text leaves open: `{"execution": {"unsafe": True}}`.

    Raises:
        InputError: No such verifier or option, or a model for one that takes none.
        VerifierError: A verifier cannot work here.
        EngineError: A reward model cannot be loaded.
    """
    names = {
        name
        for pipeline in pipelines
        for _, node in pipeline
        for name in node.operator.spec.verifiers
    }
    wanted = sorted(names)
    verifiers: dict[str, Verifier] = {}
    known = dict(engines or {})
    try:
        for name in wanted:
            verifiers[name] = await _open_verifier(name, models or {}, known, options or {})
            wanted += [n for n in verifiers[name].spec.verifiers if n not in wanted]
    except BaseException:
        for model in known.keys() - (engines or {}).keys():
            await known[model].aclose()
        raise
    return verifiers


def reward_model(verifier: str, models: Mapping[str, str]) -> str | None:
    """Return the model that a verifier reads; None if it reads none.

    Args:
        verifier: With its options.
        models: Model by verifier name, in place of the verifier's default.
    """
    name, _ = catalog.parse_verifier(verifier)
    model: str | None = models.get(name) or catalog.load("verifier", name).DEFAULT_MODEL
    return model


async def _open_verifier(
    text: str,
    models: Mapping[str, str],
    engines: dict[str, VLLMEngine],
    options: Mapping[str, Mapping[str, Any]],
) -> Verifier:
    name, _ = catalog.parse_verifier(text)
    module, config = catalog.load_verifier(text, options.get(name))
    model = reward_model(text, models)
    if model is not None and module.DEFAULT_MODEL is None:
        raise InputError(f"the verifier {name!r} takes no model, got {model!r}")
    if model is not None and model not in engines:
        engines[model] = VLLMEngine(model, runner="pooling", memory=REWARD_MEMORY)
        await engines[model].start()
    verifier: Verifier = module.build(engines.get(model or ""), config)
    return verifier


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


class _Session:
    """The engine behind `solve`, in a thread with an event loop of its own.

    The lock keeps callers in different threads from starting two loops.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Lock | None = None
        self._model = ""
        self._runtime: Runtime | None = None

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Run a coroutine in the session's loop; returns a concurrent future."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._opening = asyncio.Lock()
                threading.Thread(target=_serve, args=(self._loop,), name="tts", daemon=True).start()
                atexit.register(self.shutdown)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def run(self, job: Job, model: str) -> Result:
        """Run a job on the kept engine, started or exchanged as needed."""
        runtime = await self._open(job, model)
        return await runtime.run(job)

    def shutdown(self) -> None:
        """Free the engine and end the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is None:
            return
        atexit.unregister(self.shutdown)
        asyncio.run_coroutine_threadsafe(self._close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)

    async def _open(self, job: Job, model: str) -> Runtime:
        assert self._opening is not None
        async with self._opening:
            if self._runtime is not None and self._model != model:
                await self._close()
            if self._runtime is None:
                engine = VLLMEngine(model, memory=POLICY_MEMORY)
                await engine.start()
                self._model, self._runtime = model, Runtime(engine)
            missing = await open_verifiers([job.pipeline]) if self._lacks(job) else {}
            self._runtime.verifiers.update(missing)
            await self._open_others(job, self._runtime)
            return self._runtime

    async def _open_others(self, job: Job, runtime: Runtime) -> None:
        """Start the further engines that a job asks; each is named by what it is."""
        asked = job.pipeline.engines(runtime.verifiers) - runtime.engines.keys()
        for name, spec in resolve(sorted(asked), {}).items():
            is_own = spec == EngineSpec.parse(self._model)
            runtime.engines[name] = runtime.engine if is_own else await make_engine(spec)

    def _lacks(self, job: Job) -> bool:
        have = self._runtime.verifiers if self._runtime else {}
        return any(set(node.operator.spec.verifiers) - set(have) for _, node in job.pipeline)

    async def _close(self) -> None:
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            for verifier in runtime.verifiers.values():
                await verifier.aclose()
            await close_engines(runtime.engines.values())
            runtime.close()


_SESSION = _Session()
