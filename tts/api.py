"""The short way in: one call, one answer."""

import asyncio
import threading
from concurrent.futures import Future

from tts.engine.spec import EngineSpec
from tts.errors import EngineError
from tts.presets.load import Preset, load_preset
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.session import Opened
from tts.types import Budget, Problem, Result

DEFAULT_MODEL = "bundled:reasoner"
DEFAULT_PRESET = "self_consistency"


def solve(
    problem: str | Problem,
    *,
    preset: str | Preset = DEFAULT_PRESET,
    budget: Budget | str | None = None,
    seed: int = 0,
    model: str = DEFAULT_MODEL,
) -> Result:
    """Solve one problem with the embedded engine.

    Engines and reward models are kept until exit, `shutdown()`, or a call with another model. They
    split the memory of a GPU: where a call asks one more, the others start anew with less. They
    live in a thread of their own, so this works inside a running event loop too (and blocks it:
    there, `asolve`).

    Args:
        problem: Text, or a `Problem`.
        preset: A preset's name or file, or a loaded one.
        budget: Hard limits; the preset's own by default.
        seed: The same seed gives the same samples.
        model: A Hugging Face id, a local path, or "bundled:reasoner".

    Raises:
        InputError: The preset or the problem cannot be used.
        EngineError: The model cannot be loaded, the engine died, or `shutdown` ended the call.
    """
    job = make_job(problem, preset=preset, budget=budget, seed=seed)
    return _SESSION.submit(job, model).result()


async def asolve(
    problem: str | Problem,
    *,
    preset: str | Preset = DEFAULT_PRESET,
    budget: Budget | str | None = None,
    seed: int = 0,
    model: str = DEFAULT_MODEL,
) -> Result:
    """Like `solve`, for asynchronous callers; cancelling it aborts the work."""
    job = make_job(problem, preset=preset, budget=budget, seed=seed)
    return await asyncio.wrap_future(_SESSION.submit(job, model))


def shutdown() -> None:
    """Free the engines that `solve` keeps; the next call starts others.

    Calls under way in other threads or tasks end with an EngineError.
    """
    _SESSION.shutdown()


def make_job(
    problem: str | Problem,
    *,
    preset: str | Preset = DEFAULT_PRESET,
    budget: Budget | str | None = None,
    seed: int = 0,
    priority: int = 0,
) -> Job:
    """Return what a runtime needs to solve one problem by a preset.

    Raises:
        InputError: The preset cannot be used, or the problem is empty.
    """
    loaded = load_preset(preset) if isinstance(preset, str) else preset
    return Job.of(loaded, problem, budget=budget, seed=seed, priority=priority)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


class _Kept:
    """The engines that `solve` keeps between calls; belongs to one event loop."""

    def __init__(self) -> None:
        self._model = ""
        self._opened: Opened | None = None
        self._runtime: Runtime | None = None
        self._num_running = 0
        # Keeps jobs apart that want engines started.
        self._opening = asyncio.Lock()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._calls: set[asyncio.Task[Result]] = set()
        self._is_shut = False

    async def call(self, job: Job, model: str) -> Result:
        """Run a job on the kept engines, started or exchanged as needed.

        Raises:
            EngineError: `shutdown` ended it.
        """
        task = asyncio.create_task(self._run(job, model))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await task
        except asyncio.CancelledError:
            if self._is_shut:
                raise EngineError("tts.shutdown() ended this call") from None
            raise

    async def shutdown(self) -> None:
        """End the calls under way and free the engines."""
        self._is_shut = True
        while self._calls:
            for call in self._calls:
                call.cancel()
            await asyncio.wait(self._calls)
        await self._close()

    async def _run(self, job: Job, model: str) -> Result:
        async with self._opening:
            runtime = await self._open(job, model)
            self._num_running += 1
            self._is_idle.clear()
        try:
            return await runtime.run(job)
        finally:
            self._num_running -= 1
            if not self._num_running:
                self._is_idle.set()

    async def _close(self) -> None:
        opened, self._opened = self._opened, None
        runtime, self._runtime = self._runtime, None
        if opened is not None:
            await opened.aclose()
        if runtime is not None:
            await runtime.aclose()

    async def _open(self, job: Job, model: str) -> Runtime:
        """Return a runtime with all that a job asks; what lacks is started when nothing runs."""
        opened = self._opened if model == self._model else None
        if self._runtime is not None and opened is not None and opened.serves(job.pipeline):
            return self._runtime
        await self._is_idle.wait()
        if opened is None:
            await self._close()
            opened = self._opened = Opened(EngineSpec("vllm", model))
            self._model = model
        await opened.serve([job.pipeline])
        if self._runtime is not None:
            await self._runtime.aclose()
        log = None if self._runtime is None else self._runtime.log
        self._runtime = Runtime(
            opened.engine, verifiers=opened.verifiers, engines=opened.others, log=log
        )
        return self._runtime


class _Session:
    """The thread behind `solve`, with an event loop of its own.

    At exit it just ends: embedded engines and answer checkers see to their own end then, and an
    event loop's threads take no more work.
    """

    def __init__(self) -> None:
        # Keeps callers in different threads from starting two threads.
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kept = _Kept()

    def submit(self, job: Job, model: str) -> Future[Result]:
        """Run a job in the session's loop; returns a concurrent future."""
        with self._lock:
            if self._loop is None:
                self._loop, self._kept = asyncio.new_event_loop(), _Kept()
                threading.Thread(target=_serve, args=(self._loop,), name="tts", daemon=True).start()
            return asyncio.run_coroutine_threadsafe(self._kept.call(job, model), self._loop)

    def shutdown(self) -> None:
        """Free the engines and end the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._kept.shutdown(), loop).result()
        loop.call_soon_threadsafe(loop.stop)


_SESSION = _Session()
