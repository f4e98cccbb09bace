"""The prompts of a problem as the model read them, special tokens included, and what it wrote."""

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tts.bundled import PREFIX, resolve
from tts.viewer.problem import problem_view
from tts.viewer.runs import OpenRun


def prompts_of(run: OpenRun, problem: str, repeat: int) -> list[dict[str, Any]]:
    """Return every prompt of a problem once, in the order in which they were first sent.

    Each has its `key`, the `node` that asked, the number of `tokens` where that is known, what was
    sent to the engine (`messages` with the `beginning` of the answer, or `text`) where it was not
    token ids, and `exact`, the text that the model read, where the run has its token ids, one model
    alone was sampled, and its tokenizer lies on this machine. `written` are its completions: of
    each the `seed`, the `tokens`, the `finish_reason`, and the `text`, or in its place the number
    of the `attempt` that it is.
    """
    run.log.refresh()
    found: dict[str, dict[str, Any]] = {}
    config = run.stored.config
    # Lines do not say which engine read them.
    is_alone = not set(config.get("samplers", ())) - {""}
    tokenizer = _tokenizer(str(config["model"])) if is_alone else None
    lines = run.log.lines((problem, repeat))
    attempts = _attempts(run, problem, repeat)
    for line in lines:
        if line["kind"] not in ("sent", "completion"):
            continue
        key = line.get("key", "")
        prompt = found.setdefault(key, {"key": key, "node": line["node"], "written": []})
        if line["kind"] == "sent":
            prompt |= line.get("prompt", {})
            continue
        if ids := line.get("prompt_token_ids"):
            prompt["tokens"] = len(ids)
            if tokenizer is not None and "exact" not in prompt:
                prompt["exact"] = tokenizer.decode(ids, skip_special_tokens=False)
        prompt["written"].append(_written(line, attempts))
    return list(found.values())


def _attempts(run: OpenRun, problem: str, repeat: int) -> dict[tuple[str, int, str], int]:
    """Return the numbers of the attempts that are one completion, by node, seed and text."""
    view = problem_view(run, problem, repeat)
    return {
        (attempt["node"], attempt["seed"], attempt["thought"] + attempt["text"]): number
        for number, attempt in enumerate(view["attempts"])
    }


def _written(
    line: Mapping[str, Any], attempts: Mapping[tuple[str, int, str], int]
) -> dict[str, Any]:
    number = attempts.get((line["node"], line["seed"], line["text"]))
    said = {"text": line["text"]} if number is None else {"attempt": number}
    tokens, reason = line["usage"]["generated_tokens"], line.get("finish_reason")
    return {"seed": line["seed"], "tokens": tokens, "finish_reason": reason, **said}


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
