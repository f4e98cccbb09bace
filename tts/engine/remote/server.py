"""What a server says of itself: its models, and whether it is vLLM's."""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tts.engine.remote.address import Address
from tts.engine.remote.faults import Fault
from tts.engine.remote.http import Transport
from tts.engine.remote.pace import backoff

_SECONDS = 30.0  # for an answer of this kind
_RETRIES = 2  # where nobody listens
# What tells two models of one name apart. vLLM, SGLang and llama.cpp give the time of the question
# as `created`; then it is left out.
_TELLING = ("id", "owned_by", "root", "parent", "max_model_len", "meta", "created")
_CLOCK_SECONDS = 10
# What servers of one model agree on, wherever each keeps it and since when.
_SHARED = ("id", "root", "meta")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself.

    Attributes:
        models: Its list; empty where it has none.
        version: Of vLLM's server; empty for others.
        is_vllm: It is vLLM's own.
        better_url: The address below which it serves its API, where the given one is not it.
    """

    models: tuple[Mapping[str, Any], ...] = ()
    version: str = ""
    is_vllm: bool = False
    better_url: str = ""

    def find(self, model: str) -> Mapping[str, Any]:
        """Return what is said of a model; empty if nothing is."""
        return next((entry for entry in self.models if entry["id"] == model), {})

    def fingerprint(self, base_url: str, model: str) -> str:
        """Return what changes when another model answers at this address under this name."""
        entry = self.find(model)
        telling = {key: entry[key] for key in _TELLING if key in entry}
        return _digest([base_url, model, telling, self.version])

    def shared_fingerprint(self, base_urls: Sequence[str], model: str) -> str:
        """Return the same for several servers of a model; each of them comes to the same.

        A folder of the model counts by its name alone.
        """
        entry = self.find(model)
        shared = {key: entry[key] for key in _SHARED if key in entry}
        if "root" in shared:
            shared["root"] = str(shared["root"]).rstrip("/").rpartition("/")[2]
        return _digest([sorted(base_urls), model, shared])


def _digest(values: Sequence[Any]) -> str:
    said = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:16]


async def ask_server(transport: Transport, address: Address, *, max_retries: int) -> ServerFacts:
    """Ask a server what it serves; one that does not say is no error.

    Raises:
        Fault: It cannot be reached, or does not answer.
    """
    models = await _models(transport, f"{address.base_url}/models", max_retries)
    if models is None:
        better = f"{address.base_url}/v1"
        is_better = not address.base_url.endswith("/v1") and await _models(
            transport, f"{better}/models", 0
        )
        return ServerFacts(better_url=better if is_better else "")
    is_vllm = any(entry.get("owned_by") == "vllm" for entry in models)
    version = await _version(transport, address) if is_vllm else ""
    return ServerFacts(tuple(models), version, is_vllm)


async def _models(
    transport: Transport, url: str, max_retries: int
) -> Sequence[Mapping[str, Any]] | None:
    """Return a server's models; None where there is no list that can be read."""
    for count in range(1, min(max_retries, _RETRIES) + 2):
        try:
            asked = time.time()
            return _read(await transport.get(url, seconds=_SECONDS), asked)
        except Fault as fault:
            if fault.kind in ("silent", "late"):
                raise
            if fault.kind != "unreachable":
                return None
            if count > min(max_retries, _RETRIES):
                raise
            await asyncio.sleep(backoff(count))
    raise AssertionError("the last attempt returns or raises")


def _read(page: Any, asked: float) -> Sequence[Mapping[str, Any]] | None:
    found = page.get("data", page.get("models")) if isinstance(page, dict) else page
    if not isinstance(found, list):
        return None
    models = []
    for entry in found:
        name = entry.get("id") or entry.get("name") if isinstance(entry, dict) else entry
        if isinstance(name, str):
            known = entry if isinstance(entry, dict) else {}
            models.append({**_without_clock(known, asked), "id": name})
    return models


def _without_clock(entry: Mapping[str, Any], asked: float) -> dict[str, Any]:
    created = entry.get("created")
    is_clock = isinstance(created, int | float) and abs(created - asked) < _CLOCK_SECONDS
    return {key: value for key, value in entry.items() if key != "created" or not is_clock}


async def _version(transport: Transport, address: Address) -> str:
    try:
        found = await transport.get(f"{address.root}/version", seconds=_SECONDS)
    except Fault:
        return ""
    return str(found.get("version", "")) if isinstance(found, dict) else ""
