"""Engines that run: each started once, all of one process within the memory of one GPU."""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from importlib import import_module
from typing import Any

from tts.engine.build import find_model
from tts.engine.fleet import Fleet
from tts.engine.late import LateEngine, LoadingTime
from tts.engine.replay import ReplayEngine
from tts.engine.spec import EngineSpec
from tts.engine.vllm import VLLMEngine
from tts.errors import InputError
from tts.protocols import Engine, EngineFacts

GPU_MEMORY = 0.9  # of a GPU, for all embedded engines together
REWARD_MEMORY = 0.3  # of a GPU, for one reward model: it keeps little KV
POLICY_MEMORY = GPU_MEMORY - REWARD_MEMORY  # of a GPU, for the policy beside a reward model


class RunningEngines:
    """Keeps those engines running that are asked for."""

    def __init__(self) -> None:
        self._engines: dict[EngineSpec, Engine] = {}
        self._loading = LoadingTime()

    @property
    def loading_seconds(self) -> float:
        """Time in which engines were started that others were waiting for while they worked."""
        return self._loading.seconds

    def disturbs(self, specs: Iterable[EngineSpec]) -> bool:
        """Return whether `keep` of these would close an engine that runs.

        Raises:
            InputError: They do not fit into a GPU's memory together.
        """
        return not self._engines.keys() <= set(split_memory(specs).values())

    async def keep(
        self, specs: Iterable[EngineSpec], facts: Mapping[EngineSpec, EngineFacts] | None = None
    ) -> dict[EngineSpec, Engine]:
        """Run exactly these engines: close others, start the missing, leave the rest as they are.

        One whose share of the memory changes is started anew.

        Args:
            specs: The engines.
            facts: What some of them told of themselves when they ran before; of the missing, these
                start with the first request.

        Raises:
            InputError: They do not fit into a GPU's memory together; nothing has changed.
            ModelError: A folder holds no whole model, or no such model is bundled; nothing has
                changed.
            EngineError: A model cannot be loaded; then none of them runs any more.
            MissingExtraError: An engine is not installed.
        """
        shared = split_memory(specs)
        for spec in shared:
            if spec.kind == "vllm":
                find_model(spec.model, spec.options)
        for gone in self._engines.keys() - shared.values():
            await self._engines.pop(gone).aclose()
        try:
            for asked, spec in shared.items():
                if spec in self._engines:
                    continue
                told = (facts or {}).get(asked)
                self._engines[spec] = (
                    await make_engine(spec) if told is None else self._late(spec, told)
                )
        except BaseException:
            await self.aclose()
            raise
        return {asked: self._engines[spec] for asked, spec in shared.items()}

    def _late(self, spec: EngineSpec, told: EngineFacts) -> LateEngine:
        async def make() -> Engine:
            with self._loading.running():
                return await make_engine(spec)

        return LateEngine(told, make)

    async def forget(self) -> None:
        """Drop what earlier requests left in any of them, such as scores of known texts.

        Raises:
            EngineError: Requests are running.
        """
        for engine in self._engines.values():
            await engine.forget()

    async def aclose(self) -> None:
        """Close all, also where one of them fails at it."""
        async with AsyncExitStack() as closing:
            for engine in self._engines.values():
                closing.push_async_callback(engine.aclose)
            self._engines = {}


def split_memory(specs: Iterable[EngineSpec]) -> dict[EngineSpec, EngineSpec]:
    """Return distinct engines with their shares of a GPU's memory.

    Embedded engines that name no share split what is left of 0.9 equally.

    Raises:
        InputError: Nothing is left for them.
    """
    distinct = tuple(dict.fromkeys(specs))
    embedded = [spec for spec in distinct if spec.kind == "vllm"]
    unshared = [spec for spec in embedded if spec.memory is None]
    taken = sum(spec.memory or 0.0 for spec in embedded)
    share = round((GPU_MEMORY - taken) / max(1, len(unshared)), 3)
    if unshared and share <= 0:
        raise InputError(
            f"reward models, and engines with a gpu_memory_utilization, take {taken:g} of a GPU's "
            f"memory and leave none for {unshared[0].model}; use fewer of them in one run"
        )
    return {spec: spec.with_memory(share) if spec in unshared else spec for spec in distinct}


def reward_engine(model: str) -> EngineSpec:
    """Return the engine of a reward model.

    Raises:
        InputError: The model is on a server, or is a pool of recorded samples.
    """
    spec = EngineSpec.parse(model)
    if spec.kind != "vllm":
        raise InputError(f"reward model {model!r}: reward models run embedded; write MODEL")
    return replace(spec, runner="pooling").with_memory(REWARD_MEMORY)


def _client(spec: EngineSpec) -> Any:
    """Return the engine that asks a server, or several; loads what an embedded one needs not."""
    client = import_module("tts.engine.openai").OpenAIEngine
    urls = spec.base_urls
    if len(urls) == 1:
        return client(spec.model, base_url=urls[0], **spec.options)
    return Fleet(
        [
            client(spec.model, base_url=url, others=[u for u in urls if u != url], **spec.options)
            for url in urls
        ]
    )


async def make_engine(spec: EngineSpec) -> Engine:
    """Start an engine.

    Raises:
        EngineError: The model cannot be loaded.
        MissingExtraError: The engine is not installed.
    """
    engine: Any
    if spec.pool is not None:
        engine = ReplayEngine(spec.pool)
    elif spec.kind == "openai":
        engine = _client(spec)
    else:
        engine = VLLMEngine(spec.model, runner=spec.runner, **spec.options)
    try:
        started: Engine = await engine.start()
        return started
    except BaseException:
        await engine.aclose()
        raise
