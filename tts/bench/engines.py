"""The engines of a benchmark: cell after cell runs on them, and none profits from another."""

from collections.abc import Iterable
from contextlib import AsyncExitStack

from tts.engine.running import REWARD_MEMORY
from tts.engine.vllm import VLLMEngine
from tts.session.verifiers import reward_model


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
