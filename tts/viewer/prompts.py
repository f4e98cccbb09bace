"""The prompts of a problem as the model read them, special tokens included."""

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tts.bundled import PREFIX, resolve
from tts.viewer.runs import OpenRun


def prompts_of(run: OpenRun, problem: str, repeat: int) -> list[dict[str, Any]]:
    """Return every prompt of a problem once, in the order in which they were first sent.

    Each has its `key`, the `node` that asked, the number of `tokens` where that is known, what was
    sent to the engine (`messages` with the `beginning` of the answer, or `text`) where it was not
    token ids, and `exact`, the text that the model read, where the run has its token ids, one model
    alone was sampled, and its tokenizer lies on this machine.
    """
    run.log.refresh()
    found: dict[str, dict[str, Any]] = {}
    config = run.stored.config
    # Lines do not say which engine read them.
    is_alone = not set(config.get("samplers", ())) - {""}
    tokenizer = _tokenizer(str(config["model"])) if is_alone else None
    for line in run.log.lines((problem, repeat)):
        key = line.get("key", "")
        if line["kind"] == "sent":
            prompt = found.setdefault(key, {"key": key, "node": line["node"]})
            prompt |= line.get("prompt", {})
        ids = line.get("prompt_token_ids")
        if ids and (prompt := found.setdefault(key, {"key": key, "node": line["node"]})):
            prompt["tokens"] = len(ids)
            if tokenizer is not None and "exact" not in prompt:
                prompt["exact"] = tokenizer.decode(ids, skip_special_tokens=False)
    return list(found.values())


@lru_cache(maxsize=4)
def _tokenizer(model: str) -> Any:
    """Return the tokenizer of a model that lies on this machine; None where there is none."""
    try:
        path = _tokenizer_file(model)
        return import_module("tokenizers").Tokenizer.from_file(path)
    except Exception:  # the libraries are an engine's, and raise their own kinds: less is shown
        return None


def _tokenizer_file(model: str) -> str:
    name = "tokenizer.json"
    if model.startswith(PREFIX):
        return str(resolve(model) / name)
    if Path(model).is_dir():
        return str(Path(model) / name)
    return str(import_module("huggingface_hub").try_to_load_from_cache(model, name))


def said(prompt: Mapping[str, Any]) -> str:
    """Return a prompt as text: what the model read, or else what was sent."""
    if "exact" in prompt:
        return str(prompt["exact"])
    turns = [f"[{turn['role']}]\n{turn['content']}" for turn in prompt.get("messages", ())]
    return "\n\n".join([*turns, prompt.get("beginning", ""), prompt.get("text", "")]).strip()
