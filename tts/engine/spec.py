"""Which engine, in one line of text: the command line, presets and Python name engines by it.

    Qwen/Qwen3-8B                                   a Hugging Face id, embedded in this process
    ./my-model, bundled:reasoner                    a folder, a model that ships with the package
    BAAI/bge-small-en?pooling                       a model that does not generate: it embeds texts
    Qwen/Qwen3-8B@http://localhost:8000/v1          a model on an OpenAI-compatible server
    Qwen/Qwen3-8B@http://a/v1,http://b/v1           the same on several servers, one engine
    @http://localhost:8000/v1                       the only model that a server has
    replay:POOL.jsonl.gz#model                      recorded samples

A plain word, such as `draft`, may also be a name that the run gives to one of these.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from tts.engine.options import embedded_options, server_options
from tts.engine.pools import load_pool
from tts.engine.vllm import Runner
from tts.errors import InputError

EngineKind = Literal["vllm", "openai", "replay"]
FORMS = "MODEL, MODEL@URL or replay:FILE[#MODEL]"
_REPLAY, _POOLING = "replay:", "?pooling"
_LOGIN = re.compile(r"//[^/@]*@")
_COMMA = re.compile(r"\s*,\s*(?=https?://)")


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine that has not been made.

    Attributes:
        kind: Embedded vLLM, a server, or recorded samples.
        model: Its model; of recorded samples, the series; empty for the only one of a server.
        base_url: Of the server; of several, with commas between.
        pool: "FILE" or "FILE#series", for recorded samples.
        runner: What an embedded engine does: "pooling" models embed texts, or score.
        options: What else was said of it (`engine_args`), checked.
    """

    kind: EngineKind
    model: str
    base_url: str | None = None
    pool: str | None = None
    runner: Runner = "generate"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, text: str, args: Mapping[str, Any] | None = None) -> Self:
        """Read an engine's line of text.

        Args:
            text: See the top of this module.
            args: Options of the engine, by name.

        Raises:
            InputError: The text is none of the forms, or an option is unknown or wrong.
            ProblemError: The pool cannot be read.
        """
        given = dict(args or {})
        if text.startswith(_REPLAY):
            if given:
                raise InputError(f"{text}: recorded samples take no {min(given)!r}, or any option")
            pool = text.removeprefix(_REPLAY)
            return cls("replay", load_pool(pool).series, pool=pool)
        named = text.removesuffix(_POOLING)
        runner: Runner = "generate" if named == text else "pooling"
        model, has_url, url = named.partition("@http")
        if has_url:
            if runner == "pooling":
                raise InputError(
                    f"engine {text!r}: ?pooling is for embedded engines, not for servers"
                )
            spec = cls("openai", model, base_url=f"http{url}", options=server_options(given))
            if any("," in one for one in spec.base_urls):
                raise InputError(
                    f"engine {mask_login(text)!r}: commas stand between addresses, each of which "
                    "begins with http:// or https://"
                )
            return spec
        _check_model(model, text)
        return cls("vllm", model, runner=runner, options=embedded_options(given))

    @property
    def base_urls(self) -> list[str]:
        """The addresses of its servers, each once; none where it is not on a server."""
        return list(dict.fromkeys(_COMMA.split(self.base_url))) if self.base_url else []

    @property
    def memory(self) -> float | None:
        """Share of a GPU's memory for an embedded engine; None is its part of what is left."""
        share: float | None = self.options.get("gpu_memory_utilization")
        return share

    def with_memory(self, share: float) -> Self:
        """Return the same engine with a share of a GPU's memory."""
        return replace(self, options={**self.options, "gpu_memory_utilization": share})

    def __str__(self) -> str:
        """Write the engine as `parse` reads it, without options and without a password."""
        if self.pool is not None:
            return f"{_REPLAY}{self.pool}"
        if self.base_url is not None:
            return f"{self.model}@{mask_login(self.base_url)}"
        return f"{self.model}{_POOLING}" if self.runner == "pooling" else self.model

    def to_mapping(self) -> dict[str, Any]:
        """Return what a run records of its engine; without secrets."""
        facts = {
            "engine": self.kind,
            "base_url": self.base_url and mask_login(self.base_url),
            "pool": self.pool,
            "engine_args": {name: _plain(value) for name, value in sorted(self.options.items())},
        }
        return {name: value for name, value in facts.items() if value}


def mask_login(text: str) -> str:
    """Return a text without the name and password that an address in it may hold."""
    return _LOGIN.sub("//***@", text)


def _check_model(model: str, text: str) -> None:
    if not model or model.startswith(("?", "http://", "https://")):
        raise InputError(f"no engine {text!r}: write {FORMS}")
    if "?" in model:
        raise InputError(f"engine {text!r}: only ?pooling may follow a model; options go elsewhere")
    if "@" in model and not model.startswith(("/", ".", "~")):
        raise InputError(f"engine {text!r}: the address begins with http:// or https://")


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | list | dict | None) else str(value)


def resolve(
    names: Iterable[str],
    named: Mapping[str, EngineSpec],
    args: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, EngineSpec]:
    """Return what engine names stand for; an unknown plain word is left out.

    Args:
        names: Of the engines that pipelines ask.
        named: What the run says that some of them are.
        args: Options of those that say themselves what they are, by name.

    Raises:
        InputError: A name is no engine, or an option of it is wrong.
        ProblemError: A pool cannot be read.
    """
    return {
        name: named[name] if name in named else EngineSpec.parse(name, (args or {}).get(name))
        for name in names
        if name in named or set(name) & set("/:")
    }


def split_args(args: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return options by engine: "draft.dtype" is one of `draft`, "dtype" of the run's own ("")."""
    split: dict[str, dict[str, Any]] = {}
    for key, value in args.items():
        name, _, option = key.rpartition(".")
        split.setdefault(name, {})[option] = value
    return split
