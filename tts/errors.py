"""The exception tree.

TTSError
├── InputError            what the user gave cannot be used; the message says where and what to do
│   ├── ProblemError      a problem, or a line of a benchmark file
│   ├── PresetError       a preset, with file and line
│   ├── ParameterError    a parameter of an operator, strategy, verifier, benchmark or memory
│   ├── PipelineError     a graph that cannot run: cycle, missing input, type mismatch
│   ├── BudgetError       a budget that cannot be read
│   └── StoreError        a run folder that cannot be read or written
├── EngineError           an engine cannot start or has died
│   ├── ModelError        the model cannot be found or loaded
│   ├── OutageError       a server gave no answers; the same command tries again
│   ├── RefusedError      one request is refused for what it asks; others go on
│   ├── ContextError      the prompt does not fit into the model's context
│   └── CapabilityError   the engine lacks what a node needs
├── VerifierError         a verifier cannot work at all (one failed score is data, not this)
└── MissingExtraError     an optional dependency is not installed
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# The modules that are not always installed, and the extra that brings each.
EXTRAS: Mapping[str, str] = {
    "datasets": "evals",
    "fastapi": "serve",
    "inspect_ai": "inspect",
    "matplotlib": "plots",
    "mlflow": "mlflow",
    "networkx": "graphs",
    "optuna": "search",
    "prometheus_client": "serve",
    "pyarrow": "evals",
    "ray": "ray",
    "regex": "serve",
    "safetensors": "cpu",
    "scipy": "optimize",
    "starlette": "serve",
    "torch": "cpu",
    "trackio": "trackio",
    "uvicorn": "serve",
    "vllm": "cpu",
    "wandb": "wandb",
}


class TTSError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(TTSError):
    """What the user gave cannot be used; the command line exits with 2."""


class ProblemError(InputError):
    """A problem, or a line of a benchmark file, cannot be used."""


class PresetError(InputError):
    """A preset cannot be used; the message begins with file and line."""


class ParameterError(InputError):
    """A parameter of an operator, strategy, verifier, benchmark or memory is unknown or wrong.

    Attributes:
        path: Keys that lead to it; empty where several parameters do not go together.
    """

    def __init__(self, message: str, *, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


class PipelineError(InputError):
    """A graph of operators cannot run."""


class BudgetError(InputError):
    """A budget cannot be read or buys nothing."""


class StoreError(InputError):
    """A run folder cannot be read or written."""


class EngineError(TTSError):
    """An engine cannot start, or has died."""


class ModelError(EngineError):
    """A model cannot be found or loaded."""


class OutageError(EngineError):
    """A server was away for so long that nothing came of a run; the command line exits with 3."""


class RefusedError(EngineError):
    """An engine refuses a request for what it asks, and answers others."""


class ContextError(EngineError):
    """A prompt does not fit into the model's context."""


class CapabilityError(EngineError):
    """An engine lacks what a node needs."""


class VerifierError(TTSError):
    """A verifier cannot work at all; a single failed score is data instead."""


class MissingExtraError(TTSError):
    """An optional dependency is not installed; the message names the extra that brings it."""


def innermost(error: BaseException) -> BaseException:
    """Return the first error within nested exception groups; an error that is no group itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def ends_run(error: BaseException) -> bool:
    """Return whether nothing can go on after an error: the engine or the run's folder is lost.

    A prompt that does not fit, or a request for what an engine cannot do, concerns a node alone.
    """
    concerns_node = isinstance(error, ContextError | CapabilityError)
    return isinstance(error, EngineError | StoreError) and not concerns_node


def survivable(raised: Exception) -> BaseException:
    """Return the first error within nested groups, which concerns the one that raised it alone.

    Raises:
        TTSError: It ends the run.
    """
    error = innermost(raised)
    if ends_run(error):
        raise error from None
    return error


@contextmanager
def optional_import(purpose: str) -> Iterator[None]:
    """Import what an extra of this distribution brings; a missing module names the extra.

        with optional_import("a picture"):
            from matplotlib.figure import Figure

    Args:
        purpose: What needs it, as the subject of a sentence ("the embedded engine").

    Raises:
        MissingExtraError: A module of `EXTRAS` is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in EXTRAS:
            raise
        raise MissingExtraError(
            f"{purpose} needs {name}: pip install 'tts-orchestrator[{EXTRAS[name]}]'"
        ) from error
