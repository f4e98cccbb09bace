"""What tells one run from another: the name of its folder."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from tts.parts.files import with_digests


def folder_name(config: Mapping[str, Any]) -> str:
    """Return the name of a run's folder: benchmark, preset, hash of the whole configuration.

    Files that the preset names enter by what they hold, wherever they lie.
    """
    text = json.dumps(by_content(config), sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
    return f"{folder_prefix(config)}-{digest}"


def by_content(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in which files stand as their digests, under no name."""
    values = dict(config)
    if files := values.pop("files", None):
        values["preset_values"] = with_digests(values["preset_values"], dict(files))
    return values


def folder_prefix(config: Mapping[str, Any]) -> str:
    """Return what the names of runs begin with that have a benchmark and a preset in common."""
    words = (re.sub(r"[^\w.]+", "_", str(config[key]))[-60:] for key in ("benchmark", "preset"))
    return "-".join(words)
