"""Rows of data sets on the Hugging Face hub."""

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from tts.engine.hub import unreachable_hub
from tts.errors import ProblemError, optional_import


def hub_rows(
    dataset: str, config: str, split: str, revision: str = ""
) -> Sequence[Mapping[str, Any]]:
    """Return the rows of one split of a data set, or of its only split.

    Args:
        dataset: Name on the hub.
        config: One of its configurations; empty for the only one.
        split: Its name on the hub.
        revision: A commit; empty for the newest.

    Raises:
        ProblemError: The hub cannot be reached, or has no such data.
        MissingExtraError: What reads data sets is not installed.
    """
    advice = "give a copy with --data FILE, or in the folder that TTS_DATA_DIR names"
    _check_address(os.environ.get("HF_ENDPOINT", ""))
    with optional_import(f"{dataset} from the Hugging Face hub"):
        from datasets import load_dataset  # takes over a second, and only the hub needs it
    if host := unreachable_hub():
        raise ProblemError(
            f"cannot load {dataset}: {host} cannot be reached; {advice}, or set HF_HUB_OFFLINE=1 "
            "to use a copy that was downloaded before"
        )
    try:
        splits = load_dataset(dataset, config or None, revision=revision or None)
        name = split if split in splits or len(splits) > 1 else next(iter(splits))
        return list(splits[name])
    # The library raises what its many parts raise; any of it means that there is no data.
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "")
        raise ProblemError(
            f"cannot load {dataset}: {type(error).__name__}: {first_line}; {advice}"
        ) from error


def _check_address(address: str) -> None:
    """Refuse what the hub's own library would meet with a traceback when it is imported."""
    try:
        _ = urlsplit(address).port
    except ValueError as error:
        raise ProblemError(f"HF_ENDPOINT {address!r} is no address: {error}") from error
