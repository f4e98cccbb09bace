"""What vLLM keeps per process: environment, thread library, step lock, tear-down.

The one place with module state, because vLLM itself has it: its process groups and the scratch
buffers of its CPU kernels belong to the process. Two engines that step at the same time corrupt
the heap, and closing one destroys the process groups under the others. So there is one lock around
every step, and a closed engine is parked until the last one closes. Measured on vLLM 0.32.
"""

import atexit
import ctypes
import gc
import importlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tts.errors import optional_import

# Keeps the engine threads of this process apart: one builds, steps or aborts at a time.
STEP_LOCK = threading.Lock()

# Keeps apart threads that open and close engines.
_engines_lock = threading.Lock()
_open: dict[int, Callable[[], None]] = {}
_parked: list[Any] = []

_DEFAULTS = {
    # Its errors reach us as exceptions; when a step fails it would also log the whole batch.
    "VLLM_LOGGING_LEVEL": "CRITICAL",
    "VLLM_NO_USAGE_STATS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    # libiomp5 threads that wait longer than this (ms) sleep: a busy machine needs the core.
    "KMP_BLOCKTIME": "5",
    # Warnings from torch's C++ side, such as those on NUMA.
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


def preload_openmp() -> bool:
    """Put Intel's OpenMP ahead of torch's own, if it is installed and torch is not yet loaded.

    The spinning barriers of torch's libgomp collapse when other processes want the same cores;
    libiomp5 does not. Returns whether libiomp5 serves this process.
    """
    if "torch" in sys.modules:
        return _is_mapped("libiomp5")
    for library in (Path(sys.prefix) / "lib").glob("libiomp5.so"):
        os.environ.setdefault("KMP_BLOCKTIME", _DEFAULTS["KMP_BLOCKTIME"])
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        return True
    return False


def set_defaults() -> None:
    """Set what vLLM and transformers read from the environment when they are first imported."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def load_vllm() -> Any:
    """Import vLLM for use in this process, quietly.

    Raises:
        MissingExtraError: vLLM is not installed.
    """
    set_defaults()
    preload_openmp()
    # Until vLLM configures its logger, Python's fallback would print its warnings.
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])
    with quiet(), _no_collection(), optional_import("the embedded engine"):
        vllm = importlib.import_module("vllm")
        for name in ("vllm.engine.arg_utils", "vllm.v1.engine.llm_engine"):
            importlib.import_module(name)
        return vllm


@contextmanager
def building(*, compiles: bool) -> Iterator[None]:
    """Hold the step lock while an engine is built, and undo what building does to the process.

    vLLM's CPU worker replaces `torch.set_num_threads` for everybody, torch.distributed the hook
    for uncaught exceptions, and vLLM's scan of loaded modules fails on llvmlite (which numba
    imports).

    Args:
        compiles: Whether vLLM may compile small functions when they are first used. The one for
            log-probabilities takes 5 s and a C++ compiler, and gains nothing on a CPU.
    """
    torch: Any = importlib.import_module("torch")
    set_num_threads, excepthook = torch.set_num_threads, sys.excepthook
    # The engine is built and stepped in this very process, but our child processes may choose.
    settings = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    if not compiles:
        settings["TORCHDYNAMO_DISABLE"] = "1"
    # vLLM freezes the heap once it is built; to freeze it first spares five full collections, 2 s.
    gc.freeze()
    with STEP_LOCK, quiet(), _hidden("llvmlite"), _environment(settings), _one_tokenizer():
        try:
            yield
        finally:
            torch.set_num_threads, sys.excepthook = set_num_threads, excepthook


@contextmanager
def _one_tokenizer() -> Iterator[None]:
    """Keep vLLM from copying its tokenizer for threads that render prompts: we send token ids.

    Two copies of 152k tokens take 2.3 s, and a copy of what holds them another 3.
    """
    hf: Any = importlib.import_module("vllm.renderers.hf")
    make_pool, hf.maybe_make_thread_pool = hf.maybe_make_thread_pool, lambda tokenizer, _: tokenizer
    try:
        yield
    finally:
        hf.maybe_make_thread_pool = make_pool


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    names = [n for n in list(sys.modules) if n == package or n.startswith(f"{package}.")]
    modules = {name: sys.modules.pop(name) for name in names}
    try:
        yield
    finally:
        sys.modules.update(modules)


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _no_collection() -> Iterator[None]:
    """Import without garbage collection: of six thousand modules it takes a sixth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings that vLLM and its dependencies raise on import and start-up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def set_threads(threads: int) -> None:
    """Set the OpenMP threads of the calling thread."""
    importlib.import_module("torch").set_num_threads(threads)


def register(key: int, close: Callable[[], None]) -> None:
    """Count an engine as open; `close` stops its thread when the interpreter exits."""
    with _engines_lock:
        if not _open and not _parked:
            atexit.register(_close_all)
        _open[key] = close


def retire(key: int, engine: Any) -> None:
    """Count a stopped engine as closed; the last one to close tears all of them down.

    Args:
        key: As given to `register`.
        engine: vLLM's engine; None if it was never built.
    """
    with _engines_lock:
        if _open.pop(key, None) is None:
            return
        if engine is not None:
            _parked.append(engine)
        if _open:
            return
        with STEP_LOCK, quiet():
            while _parked:
                _parked.pop().engine_core.shutdown()
    atexit.unregister(_close_all)


def _close_all() -> None:
    for close in list(_open.values()):
        close()


def _is_mapped(library: str) -> bool:
    try:
        return library in Path("/proc/self/maps").read_text()
    except OSError:
        return False
