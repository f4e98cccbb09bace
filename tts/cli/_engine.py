"""The engine flags that several subcommands share, and what is made of them."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from tts.api import DEFAULT_MODEL
from tts.catalog import load
from tts.engine.pools import load_pool
from tts.engine.sparse_config import SparseConfig
from tts.engine.spec import EngineKind, EngineSpec
from tts.errors import InputError
from tts.pipeline import Pipeline
from tts.session import Opened

EngineFlag = Annotated[
    EngineKind,
    typer.Option(
        "--engine",
        help="vllm: embedded in this process; openai: a server; replay: recorded samples.",
        metavar="E",
    ),
]
ModelFlag = Annotated[
    str,
    typer.Option(
        "--model", help="Hugging Face id, folder, bundled:NAME, or the server's name.", metavar="M"
    ),
]
VerifierFlag = Annotated[
    list[str] | None,
    typer.Option("--verifier", help="Model of a verifier, such as prm=MODEL.", metavar="V=M"),
]
BaseUrlFlag = Annotated[
    str | None,
    typer.Option("--base-url", help="Address of an OpenAI-compatible server.", metavar="URL"),
]
UnsafeFlag = Annotated[
    bool,
    typer.Option(
        "--unsafe-execution",
        help="Let the verifier `execution` run code even where nothing isolates it.",
    ),
]
PoolFlag = Annotated[
    str | None,
    typer.Option("--pool", help="Recorded samples to replay.", metavar="FILE[#MODEL]"),
]

SparseFlag = Annotated[
    str | None,
    typer.Option(
        "--sparse",
        help="Attend to chosen KV pages only: budget=1024, with page, sink, local, dense_layers, "
        "min_context.",
        metavar="K=V,...",
    ),
]


EngineForFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--engine-for",
        help="Another engine by the name that a preset asks it by: MODEL, MODEL?pooling for "
        "embeddings, MODEL@URL or replay:FILE[#MODEL]. May be repeated.",
        metavar="NAME=SPEC",
    ),
]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The engine flags, checked.

    Attributes:
        own: The run's own engine.
        others: What further engines are, by the name that presets ask them by.
        verifiers: Model by verifier name.
        unsafe_execution: Code may be run without isolation where there is none.
    """

    own: EngineSpec
    others: Mapping[str, str] = field(default_factory=dict)
    verifiers: Mapping[str, str] = field(default_factory=dict)
    unsafe_execution: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """The flags as a run records them; it knows itself which other engines it asked."""
        own = self.own
        return {
            "engine": own.kind,
            "base_url": own.base_url,
            "verifiers": dict(self.verifiers),
            **({} if own.pool is None else {"pool": own.pool}),
            **({} if own.sparse is None else {"sparse": str(own.sparse)}),
        }

    def to_arguments(self) -> list[str]:
        """Return the flags as they are typed, defaults left out."""
        own = self.own
        arguments = [] if own.kind == "vllm" else ["--engine", own.kind]
        if own.model != DEFAULT_MODEL and own.kind != "replay":
            arguments += ["--model", own.model]
        if own.base_url is not None:
            arguments += ["--base-url", own.base_url]
        if own.pool is not None:
            arguments += ["--pool", own.pool]
        if own.sparse is not None:
            arguments += ["--sparse", str(own.sparse)]
        for name, line in self.others.items():
            arguments += ["--engine-for", f"{name}={line}"]
        if self.unsafe_execution:
            arguments += ["--unsafe-execution"]
        for name, model in self.verifiers.items():
            arguments += ["--verifier", f"{name}={model}"]
        return arguments


def parse_engine(
    kind: EngineKind,
    model: str,
    *,
    verifiers: Iterable[str] | None = None,
    base_url: str | None = None,
    pool: str | None = None,
    sparse: str | None = None,
    others: Iterable[str] | None = None,
    unsafe_execution: bool = False,
) -> EngineOptions:
    """Check the engine flags, each as it was typed.

    Raises:
        InputError: They do not fit together, name an unknown verifier, or one cannot be read.
        ProblemError: A pool cannot be read.
    """
    if sparse is not None and kind != "vllm":
        raise InputError(f"--sparse changes the attention of --engine vllm; {kind} has its own")
    if (kind == "replay") != (pool is not None):
        raise InputError("--engine replay and --pool FILE[#MODEL] need each other")
    if kind == "replay":
        if model != DEFAULT_MODEL:
            raise InputError(f"--model {model}: the pool says which model was recorded")
        model = load_pool(pool or "").series
    if kind != "openai" and base_url is not None:
        raise InputError("--base-url needs --engine openai")
    if kind == "openai" and model == DEFAULT_MODEL:
        raise InputError("--engine openai needs --model, the name that the server knows it by")
    config = None if sparse is None else SparseConfig.parse(sparse)
    return EngineOptions(
        own=EngineSpec(kind, model, base_url, pool, config),
        others=_parse_others(others or ()),
        verifiers=_parse_verifiers(verifiers or ()),
        unsafe_execution=unsafe_execution,
    )


def _parse_others(entries: Iterable[str]) -> dict[str, str]:
    others: dict[str, str] = {}
    for entry in entries:
        name, line = _split("--engine-for", entry, "NAME=SPEC, such as draft=bundled:draft")
        if name in others:
            raise InputError(f"--engine-for {entry}: {name!r} is {others[name]} already")
        EngineSpec.parse(line)
        others[name] = line
    return others


def _parse_verifiers(entries: Iterable[str]) -> dict[str, str]:
    models: dict[str, str] = {}
    for entry in entries:
        name, model = _split("--verifier", entry, "NAME=MODEL, such as prm=bundled:prm")
        load("verifier", name)
        models[name] = model
    return models


def _split(flag: str, entry: str, form: str) -> tuple[str, str]:
    name, _, value = entry.partition("=")
    if not name or not value:
        raise InputError(f"{flag} {entry}: write {form}")
    return name, value


@asynccontextmanager
async def open_engines(
    options: EngineOptions, pipelines: Collection[Pipeline]
) -> AsyncIterator[Opened]:
    """Start the engines and verifiers that the pipelines ask; close them at the end.

    Raises:
        InputError: An engine is given that none of them asks.
        EngineError: A model cannot be loaded.
    """
    unsafe = {"execution": {"unsafe": True}} if options.unsafe_execution else {}
    opened = Opened(options.own, named=options.others, models=options.verifiers, options=unsafe)
    try:
        await opened.serve(pipelines)
        yield opened
    finally:
        await opened.aclose()
