"""Embedded engines in the actors of a Ray cluster, as many side by side as its machines hold.

Each actor runs all the embedded engines of a run, on GPUs of its own, and each engine of the run is
a fleet of theirs (`tts.engine.fleet`). Strategies, budgets, the log and verifiers stay in this
process, so that a run is the same as on one machine. An actor that dies is started again by Ray;
what it had not answered goes to the others meanwhile, with the same seeds.
"""

import asyncio
import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module
from typing import Any

from tts.engine.fleet import Fleet
from tts.engine.ray_actor import Actor, words_of
from tts.engine.ray_host import Host, OpenEngines
from tts.engine.running import RunningEngines, split_memory
from tts.engine.spec import EngineSpec
from tts.errors import EngineError, InputError, innermost, optional_import
from tts.protocols import Engine, EngineFacts

LOCAL = "local"
# By default Ray would report to its makers, look for a collector of metrics that is not there and
# complain that it finds none, and warn of what a later version will do with actors without a GPU.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_PATIENCE_SECONDS = 1800.0  # while all actors are away: their models load again
_TRIES = 2  # of a request for each actor; one that kills every engine must not go on for ever


class RayEngines:
    """Keeps engines running as `RunningEngines` does, the embedded ones in actors.

    Args:
        address: Of the cluster: "HOST:PORT" or "ray://HOST:PORT", "auto" for the one that this
            machine belongs to, "local" for one of its own on this machine.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._here = RunningEngines()
        self._actors: list[Actor] = []
        self._fleets: dict[EngineSpec, Fleet] = {}
        self._connects = False

    @property
    def loading_seconds(self) -> float:
        """Time in which engines of this process were started late."""
        return self._here.loading_seconds

    def disturbs(self, specs: Iterable[EngineSpec]) -> bool:
        """Return whether `keep` of these would close an engine that runs."""
        there, here = _parted(split_memory(specs).values())
        return bool(self._fleets.keys() - set(there)) or self._here.disturbs(here)

    async def keep(
        self, specs: Iterable[EngineSpec], facts: Mapping[EngineSpec, EngineFacts] | None = None
    ) -> dict[EngineSpec, Engine]:
        """Run exactly these engines; all actors are started anew where theirs change.

        Args:
            specs: The engines.
            facts: As of `RunningEngines`; engines in actors start at once all the same.

        Raises:
            InputError: None of them is embedded, or they do not fit into a GPU's memory together.
            EngineError: The cluster cannot be reached or is too small, or a model cannot be loaded.
            MissingExtraError: Ray is not installed.
        """
        shared = split_memory(specs)
        there, here = _parted(shared.values())
        if not there:
            raise InputError(
                "a Ray cluster runs embedded engines, and this run has none; several servers are "
                "asked by MODEL@URL,URL"
            )
        if self._fleets.keys() != set(there):
            await self._end()
            self._connects |= await asyncio.to_thread(connect, self._address)
            size = _fitting(there)
            self._actors = await start_actors(partial(_open_all, there), **size)
            members = zip(*(actor.engines for actor in self._actors), strict=True)
            fleets = [Fleet(same, patience=_PATIENCE_SECONDS, tries=_TRIES) for same in members]
            self._fleets = dict(zip(there, fleets, strict=True))
            for fleet in fleets:
                await fleet.start()
        running = {**await self._here.keep(here, facts), **self._fleets}
        return {asked: running[spec] for asked, spec in shared.items()}

    async def forget(self) -> None:
        """Drop what earlier requests left in any of them.

        Raises:
            EngineError: Requests are running.
        """
        await self._here.forget()
        for fleet in self._fleets.values():
            await fleet.forget()

    async def aclose(self) -> None:
        """End the actors, and close the others."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._here.aclose)
            if self._connects:
                self._connects = False
                closing.push_async_callback(asyncio.to_thread, import_module("ray").shutdown)
            closing.push_async_callback(self._end)

    async def _end(self) -> None:
        for fleet in self._fleets.values():
            await fleet.aclose()
        self._fleets = {}
        while self._actors:
            await self._actors.pop().stop()


async def start_actors(
    open_engines: OpenEngines, *, actors: int, cpus: float, gpus: float
) -> list[Actor]:
    """Start actors on the cluster that this process is connected to, each with its engines.

    Args:
        open_engines: Starts the engines of one, there.
        actors: How many.
        cpus: Of each.
        gpus: Of each.

    Raises:
        EngineError: The engines of one cannot start.
    """
    options = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": -1, "max_concurrency": 10_000}
    remote = import_module("ray").remote(scheduling_strategy="SPREAD", **options)(Host)
    made = [Actor(number, remote.remote(open_engines)) for number in range(1, actors + 1)]
    try:
        async with asyncio.TaskGroup() as group:
            for actor in made:
                group.create_task(actor.start())
    except BaseException as error:
        for actor in made:
            await actor.stop()
        raise innermost(error) from None
    return made


def connect(address: str) -> bool:
    """Connect this process to a cluster; returns False where it was connected to one before.

    Raises:
        EngineError: It cannot be reached.
        MissingExtraError: Ray is not installed.
    """
    with optional_import("a Ray cluster"):
        import ray
    if ray.is_initialized():
        return False
    given = {"include_dashboard": False} if address == LOCAL else {}
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **given)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EngineError(f"no Ray cluster at {address}: {words_of(error)}") from error
    return True


def _fitting(specs: Sequence[EngineSpec]) -> dict[str, Any]:
    """Return how many actors the cluster has room for, and what each of them takes.

    An actor takes the GPUs over which its largest model is split; without GPUs the CPUs that
    `cpu_threads` names, or as many as the smallest machine has.

    Raises:
        EngineError: It has room for none.
    """
    nodes = [n["Resources"] for n in import_module("ray").nodes() if n["Alive"]]
    gpus = max(_gpus_of(spec) for spec in specs) if any("GPU" in node for node in nodes) else 0
    threads = max(spec.options.get("cpu_threads") or 0 for spec in specs)
    cpus = 1 if gpus else threads or min(node.get("CPU", 1) for node in nodes)
    name, each = ("GPU", gpus) if gpus else ("CPU", cpus)
    actors = sum(int(node.get(name, 0) // each) for node in nodes)
    if not actors:
        raise EngineError(f"no machine of the Ray cluster has {each:g} {name}s for {specs[0]}")
    return {"actors": actors, "cpus": cpus, "gpus": gpus}


def _gpus_of(spec: EngineSpec) -> int:
    sizes = ("tensor_parallel_size", "pipeline_parallel_size")
    return math.prod(spec.options.get(size, 1) for size in sizes)


def _parted(specs: Iterable[EngineSpec]) -> tuple[list[EngineSpec], list[EngineSpec]]:
    """Return the engines that run in actors, and those that do not."""
    known = list(specs)
    there = [spec for spec in known if spec.kind == "vllm"]
    return there, [spec for spec in known if spec.kind != "vllm"]


async def _open_all(specs: Sequence[EngineSpec]) -> list[Engine]:
    """Start engines in this process, an actor's."""
    running = await RunningEngines().keep(specs)
    return [running[spec] for spec in specs]
