"""Which engine, in one line: what the command line, presets and verifiers name further engines by.

    bundled:draft                                   a model, embedded in this process
    BAAI/bge-small-en?pooling                       one that does not generate: it embeds texts
    Qwen/Qwen3-8B@http://localhost:8000/v1          a model on an OpenAI-compatible server
    replay:POOL.jsonl.gz#model                      recorded samples

A plain word, such as `draft`, is a name, and the run says what it stands for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from tts.engine.pools import load_pool
from tts.engine.sparse_config import SparseConfig
from tts.engine.vllm import Runner
from tts.errors import InputError

EngineKind = Literal["vllm", "openai", "replay"]
_REPLAY, _SPARSE, _POOLING = "replay:", "?sparse=", "?pooling"


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine that has not been made.

    Attributes:
        kind: Embedded vLLM, a server, or recorded samples.
        model: Its model; of recorded samples, the series.
        base_url: Of the server; None is the client's default.
        pool: "FILE" or "FILE#series", for recorded samples.
        sparse: What decode of an embedded engine attends to; None is everything.
        memory: Share of a GPU's memory for an embedded engine; None is its part of what is left.
        runner: What an embedded engine does: "pooling" models embed texts.
    """

    kind: EngineKind
    model: str
    base_url: str | None = None
    pool: str | None = None
    sparse: SparseConfig | None = None
    memory: float | None = None
    runner: Runner = "generate"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "MODEL", with "?sparse=budget=1024" or "?pooling"; "MODEL@URL"; "replay:FILE[#...]".

        Raises:
            InputError: No model is named, or an option cannot be read or does not suit the engine.
            ProblemError: The pool cannot be read.
        """
        if text.startswith(_REPLAY):
            pool = text.removeprefix(_REPLAY)
            return cls("replay", load_pool(pool).series, pool=pool)
        named = text.removesuffix(_POOLING)
        runner: Runner = "generate" if named == text else "pooling"
        line, has_sparse, kept = named.partition(_SPARSE)
        model, has_url, url = line.partition("@http")
        if not model:
            raise InputError(f"no engine {text!r}: write MODEL, MODEL@URL or replay:FILE[#MODEL]")
        sparse = SparseConfig.parse(kept) if has_sparse else None
        if sparse is not None and runner == "pooling":
            raise InputError(
                f"engine {text!r}: a pooling model does not decode; leave ?sparse= out"
            )
        if not has_url:
            return cls("vllm", model, sparse=sparse, runner=runner)
        if sparse is not None or runner == "pooling":
            raise InputError(
                f"engine {text!r}: ?sparse= and ?pooling are for embedded engines, not for servers"
            )
        return cls("openai", model, base_url=f"http{url}")


def resolve(names: Iterable[str], named: Mapping[str, str]) -> dict[str, EngineSpec]:
    """Return what engine names stand for; an unknown plain word is left out.

    Args:
        names: Of the engines that pipelines ask.
        named: What the run says that some of them are.

    Raises:
        InputError: A name, or what it stands for, is no engine.
        ProblemError: A pool cannot be read.
    """
    return {
        name: EngineSpec.parse(named.get(name, name))
        for name in names
        if name in named or set(name) & set("/:")
    }
