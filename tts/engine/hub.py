"""The Hugging Face hub, asked for little: is it there, and is something of it here already."""

import socket
import urllib.request
from urllib.parse import urlsplit

from tts.errors import ModelError

_PROBE_SECONDS = 5.0
_HERE = "there is no such folder here"


def unreachable_hub() -> str:
    """Return the hub's host when it cannot be reached; its own library would retry for 30 s."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or urllib.request.getproxies():
        return ""
    address = urlsplit(constants.ENDPOINT)
    host = address.hostname or ""
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=_PROBE_SECONDS).close()
    except OSError:
        return host
    return ""


def check_hub_model(model: str, revision: str | None = None) -> None:
    """Refuse a model that can come from nowhere.

    Args:
        model: No folder here, so an id of the hub.
        revision: Branch, tag or commit.

    Raises:
        ModelError: It was not downloaded before, and the hub cannot be reached or must not be.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if "/" not in model:
        raise ModelError(f"no model {model!r}: {_HERE}; a name on the hub is OWNER/NAME")
    if isinstance(try_to_load_from_cache(model, "config.json", revision=revision), str):
        return
    if constants.HF_HUB_OFFLINE:
        why = "HF_HUB_OFFLINE forbids to fetch it"
    elif host := unreachable_hub():
        why = f"{host} cannot be reached"
    else:
        return
    raise ModelError(
        f"no model {model!r}: {_HERE}, it was not downloaded before, and {why}; fetch it where "
        f"there is a network (hf download {model} --local-dir OUT) and give OUT"
    )
