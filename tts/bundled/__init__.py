"""The bundled laboratory models: `bundled:reasoner`, `bundled:prm` and `bundled:draft`.

`bundled:direct` and `bundled:dfs` are those of `tts bench crossover`.
"""

import hashlib
import json
from pathlib import Path

from tts.errors import ModelError

PREFIX = "bundled:"
NAMES = ("reasoner", "prm", "draft", "direct", "dfs")
HEAD = "head"  # the value head of the reasoner, no model by itself
MANIFEST = "manifest.json"
WEIGHTS = Path(__file__).parent / "weights"


def resolve(name: str, *, weights: Path = WEIGHTS) -> Path:
    """Return the folder of a bundled model, its files checked against the manifest.

    Args:
        name: Of one of `NAMES`, such as `bundled:reasoner`.
        weights: Where the models and their manifest lie.

    Raises:
        ModelError: No such model, or a file is missing or corrupt; the message names it.
    """
    short = name.removeprefix(PREFIX)
    if short not in NAMES:
        known = ", ".join(PREFIX + n for n in NAMES)
        raise ModelError(f"no bundled model '{name}'; there are {known}")
    return _checked(short, weights)


def resolve_head(weights: Path = WEIGHTS) -> Path:
    """Return the folder of the bundled reasoner's value head, checked likewise.

    Raises:
        ModelError: A file is missing or corrupt; the message names it.
    """
    return _checked(HEAD, weights)


def _checked(short: str, weights: Path) -> Path:
    expected = {
        path: digest
        for path, digest in _load_manifest(weights).items()
        if path.startswith(f"{short}/")
    }
    if not expected:
        raise ModelError(f"{weights / MANIFEST}: names no file of {PREFIX}{short}; reinstall tts")
    for path, digest in expected.items():
        _check_file(weights / path, digest)
    return weights / short


def write_manifest(weights: Path = WEIGHTS) -> None:
    """Record the SHA-256 of every file of the models below `weights`."""
    files = sorted(p for name in (*NAMES, HEAD) for p in (weights / name).glob("*") if p.is_file())
    manifest = {str(p.relative_to(weights)): _digest(p) for p in files}
    path = weights / MANIFEST
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _load_manifest(weights: Path) -> dict[str, str]:
    path = weights / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); reinstall tts") from error
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); reinstall tts") from error
    if not isinstance(manifest, dict):
        raise ModelError(f"{path}: not a table of files; reinstall tts")
    return {str(key): str(value) for key, value in manifest.items()}


def _check_file(path: Path, digest: str) -> None:
    try:
        found = _digest(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); reinstall tts") from error
    if found != digest:
        raise ModelError(
            f"{path}: corrupt or changed (SHA-256 {found[:12]}..., expected {digest[:12]}...); "
            "reinstall tts, or give a changed model by its path"
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
