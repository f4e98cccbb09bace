"""The engine flags that several subcommands share, and how an engine is made of them."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import typer

import tts
from tts.api import DEFAULT_MODEL, open_verifiers
from tts.catalog import load
from tts.engine.replay import ReplayEngine
from tts.engine.sparse_config import SparseConfig
from tts.errors import InputError
from tts.pipeline import Pipeline
from tts.pools import load_pool
from tts.protocols import Engine, Verifier

EngineKind = Literal["vllm", "openai", "replay"]
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
        help="Attend to chosen KV pages only: budget=1024, with page, sink, local, dense_layers.",
        metavar="K=V,...",
    ),
]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The engine flags, checked.

    Attributes:
        kind: Which engine.
        model: Its model.
        base_url: Of the server.
        verifiers: Model by verifier name.
        pool: Of the engine replay.
        unsafe_execution: Code may be run without isolation where there is none.
        sparse: What decode of the embedded engine attends to; None is everything.
    """

    kind: EngineKind = "vllm"
    model: str = DEFAULT_MODEL
    base_url: str | None = None
    verifiers: Mapping[str, str] = field(default_factory=dict)
    pool: str | None = None
    sparse: SparseConfig | None = None
    unsafe_execution: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """The flags as a run records them."""
        return {
            "engine": self.kind,
            "base_url": self.base_url,
            "verifiers": dict(self.verifiers),
            **({} if self.pool is None else {"pool": self.pool}),
            **({} if self.sparse is None else {"sparse": str(self.sparse)}),
        }

    def to_arguments(self) -> list[str]:
        """Return the flags as they are typed, defaults left out."""
        arguments = [] if self.kind == "vllm" else ["--engine", self.kind]
        if self.model != DEFAULT_MODEL and self.kind != "replay":
            arguments += ["--model", self.model]
        if self.base_url is not None:
            arguments += ["--base-url", self.base_url]
        if self.pool is not None:
            arguments += ["--pool", self.pool]
        if self.sparse is not None:
            arguments += ["--sparse", str(self.sparse)]
        if self.unsafe_execution:
            arguments += ["--unsafe-execution"]
        for name, model in self.verifiers.items():
            arguments += ["--verifier", f"{name}={model}"]
        return arguments


def parse_engine(
    kind: EngineKind,
    model: str,
    verifiers: Iterable[str],
    base_url: str | None,
    pool: str | None = None,
    sparse: str | None = None,
) -> EngineOptions:
    """Check the engine flags.

    Raises:
        InputError: They do not fit together, name an unknown verifier, or `sparse` cannot be read.
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
    models: dict[str, str] = {}
    for entry in verifiers:
        name, equals, verifier_model = entry.partition("=")
        if not equals or not name or not verifier_model:
            raise InputError(f"--verifier {entry}: write NAME=MODEL, such as prm=bundled:prm")
        load("verifier", name)
        models[name] = verifier_model
    config = None if sparse is None else SparseConfig.parse(sparse)
    return EngineOptions(kind, model, base_url, models, pool, config)


async def make_engine(options: EngineOptions) -> Engine:
    """Start an engine.

    Raises:
        EngineError: The model cannot be loaded.
        MissingExtraError: The engine is not installed.
    """
    engine: tts.OpenAIEngine | tts.VLLMEngine | ReplayEngine
    if options.pool is not None:
        engine = ReplayEngine(options.pool)
    elif options.kind == "openai":
        engine = tts.OpenAIEngine(options.model, base_url=options.base_url)
    else:
        engine = tts.VLLMEngine(options.model, sparse=options.sparse)
    try:
        return await engine.start()
    except BaseException:
        await engine.aclose()
        raise


@asynccontextmanager
async def open_engine(
    options: EngineOptions, pipelines: Iterable[Pipeline]
) -> AsyncIterator[tuple[Engine, Mapping[str, Verifier]]]:
    """Start an engine, and the verifiers that the pipelines name; close them at the end."""
    engine = await make_engine(options)
    try:
        unsafe = {"execution": {"unsafe": True}} if options.unsafe_execution else {}
        verifiers = await open_verifiers(pipelines, options.verifiers, options=unsafe)
        try:
            yield engine, verifiers
        finally:
            for verifier in verifiers.values():
                await verifier.aclose()
    finally:
        await engine.aclose()
