"""The engines of a benchmark: cell after cell runs on them, and none profits from another."""

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tts.console import flags
from tts.engine.running import REWARD_MEMORY
from tts.engine.vllm import VLLMEngine
from tts.errors import OutageError
from tts.evals.stored_run import StoredRun, load_run
from tts.presets.yaml_file import parse_value
from tts.session.runtime import Runtime
from tts.session.verifiers import reward_model


def runtime_of(
    model: str, engine_args: Sequence[str] | None, engine_for: Sequence[str] | None = None
) -> Runtime:
    """Return what runs a benchmark's model.

    Args:
        model: As `--model` takes it.
        engine_args: Options of its engine, KEY=VALUE each, as typed.
        engine_for: Other engines, NAME=SPEC each, as typed.

    Raises:
        InputError: One is not of this form, or there is no such option or model.
    """
    given = flags.to_pairs("--engine-arg", engine_args, "KEY=VALUE, such as cpu_threads=1")
    args = {key: parse_value(text) for key, text in given.items()}
    return Runtime(model, engine_args=args, engines=flags.to_engines(engine_for))


def load_finished(folder: Path) -> StoredRun:
    """Read a run whose problems are all solved, or failed to be.

    Raises:
        OutageError: A server left some without samples.
        StoreError: It cannot be read.
    """
    run = load_run(folder)
    if not run.is_finished:
        raise OutageError(
            f"{run.folder}: {run.planned - len(run.records)} problems lack samples; the same "
            "command tries them again"
        )
    return run


async def open_reward(verifier: str, opened: AsyncExitStack) -> dict[str, VLLMEngine]:
    """Start the reward model that a verifier reads, if it reads one.

    Args:
        verifier: With its options.
        opened: Closes the engine.

    Returns:
        The engine by its model, as `build_verifiers` takes it.
    """
    model = reward_model(verifier, {})
    if model is None:
        return {}
    reward = VLLMEngine(model, runner="pooling", gpu_memory_utilization=REWARD_MEMORY)
    return {model: await opened.enter_async_context(reward)}


async def forget(engines: Iterable[VLLMEngine]) -> None:
    """Make idle reward models as new: a cell before this one may have asked the same.

    The engine of a plan is emptied by `tts.evals.runner.evaluate`, before each plan.
    """
    for engine in engines:
        await engine.forget()
