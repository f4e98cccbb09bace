"""What can be said of an engine beside its model, checked before anything is loaded.

Embedded engines take vLLM's own names, all that its `EngineArgs` take, and three of ours: `sparse`,
`shared_prefix` and `cpu_threads`. Servers take what a client decides: time-outs, retries, pace,
prices.
"""

import ast
import difflib
import os
from collections.abc import Collection, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from tts.engine import answer_form
from tts.engine.sparse_config import SparseConfig
from tts.errors import InputError

# Said by the engine's spec, or settled by us.
_SETTLED = {
    "model": "the model is what stands in the spec",
    "runner": "write MODEL?pooling for a model that embeds texts",
    "scheduling_policy": "requests carry priorities, so it is always 'priority'",
    "disable_log_stats": "this process prints no statistics of vLLM",
}
_KEY = {"api_key": "name the environment variable that holds the key: api_key_env=MY_KEY"}


def _read_sparse(value: Any) -> Any:
    return SparseConfig.parse(value) if isinstance(value, str) else value


_Positive = Annotated[int, Field(ge=1)]
_Seconds = Annotated[float, Field(gt=0)]
_Dollars = Annotated[float, Field(ge=0)]


@with_config(ConfigDict(extra="allow", arbitrary_types_allowed=True))
class _Embedded(TypedDict, total=False):
    """Options of an embedded engine whose values can be checked without vLLM."""

    dtype: str
    max_model_len: int | None
    max_num_seqs: _Positive | None
    kv_cache_memory_bytes: _Positive | None
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)]
    tensor_parallel_size: _Positive
    pipeline_parallel_size: _Positive
    quantization: str | None
    block_size: _Positive | None
    seed: int
    enforce_eager: bool
    trust_remote_code: bool
    cpu_threads: _Positive | None
    sparse: Annotated[SparseConfig | None, BeforeValidator(_read_sparse)]
    shared_prefix: bool


@with_config(ConfigDict(extra="forbid"))
class _Server(TypedDict, total=False):
    """Options of a client of an OpenAI-compatible server."""

    timeout: _Seconds
    connect_timeout: _Seconds
    read_timeout: _Seconds
    max_retries: Annotated[int, Field(ge=0)]
    max_n: _Positive | None
    concurrency: _Positive
    rate: Annotated[float, Field(gt=0)] | None
    price_in: _Dollars
    price_out: _Dollars
    api_key_env: str
    context_tokens: _Positive | None


EMBEDDED: tuple[str, ...] = tuple(_Embedded.__annotations__)  # options of ours, and checked ones
SERVER: tuple[str, ...] = tuple(_Server.__annotations__)
_COMMON, _OF_SERVERS = frozenset(EMBEDDED), frozenset(SERVER)


def embedded_options(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked options of an embedded engine, those that were given.

    Args:
        args: By vLLM's names. `sparse` may be text, such as "budget=1024,page=64".

    Raises:
        InputError: vLLM has no such option, a value is wrong, or it is not the user's to set.
    """
    for name in _SETTLED.keys() & args.keys():
        raise InputError(f"engine option {name!r} cannot be set: {_SETTLED[name]}")
    check_names(args)
    return _validate(_Embedded, args)


def server_options(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked options of a server's client, those that were given.

    Raises:
        InputError: There is no such option, or a value is wrong.
    """
    for name in _KEY.keys() & args.keys():
        raise InputError(f"engine option {name!r} is a secret: {_KEY[name]}")
    _check_known(args, _OF_SERVERS, "a server")
    checked = _validate(_Server, args)
    variable = checked.get("api_key_env")
    if variable is not None and not os.environ.get(variable):
        raise InputError(f"engine option api_key_env: the environment has no variable {variable!r}")
    return checked


def check_extra_body(extra_body: Mapping[str, Any]) -> None:
    """Refuse fields of a request that an embedded engine does not have.

    Raises:
        InputError: Neither vLLM's `SamplingParams` nor `answer_form` has such a field; the message
            suggests the nearest.
    """
    if extra_body and (names := _fields("sampling_params.py", "SamplingParams")):
        for name in extra_body.keys() - names - answer_form.FIELDS:
            raise InputError(f"sampling.extra_body: vLLM has no {name!r}; {_suggest(name, names)}")


def check_names(args: Mapping[str, Any]) -> None:
    """Refuse options that an embedded engine does not have.

    vLLM's own are read from its source, which costs 0.1 s where importing vLLM costs seconds, and
    only where one is given that is not among the common ones. Without vLLM nothing more is known.

    Raises:
        InputError: The option is unknown; the message suggests the nearest.
    """
    if not args.keys() <= _COMMON and (names := _fields("engine/arg_utils.py", "EngineArgs")):
        _check_known(args, names | _COMMON, "vLLM")


@cache
def _fields(file: str, class_name: str) -> frozenset[str]:
    """Return the public fields of a class of vLLM; none where vLLM is not installed."""
    found = find_spec("vllm")
    if found is None or not found.submodule_search_locations:
        return frozenset()
    path = Path(found.submodule_search_locations[0]) / file
    if not path.is_file():
        return frozenset()
    names = {
        statement.target.id
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == class_name
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    }
    return frozenset(name for name in names if not name.startswith("_"))


def _check_known(args: Mapping[str, Any], known: Collection[str], owner: str) -> None:
    for name in args:
        if name not in known:
            raise InputError(f"no engine option {name!r} of {owner}; {_suggest(name, known)}")


def _suggest(name: str, known: Collection[str]) -> str:
    if near := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {near[0]!r}?"
    few = len(known) <= len(_COMMON)
    return f"there are {', '.join(sorted(known))}" if few else "see vLLM's documentation"


def _validate(form: Any, args: Mapping[str, Any]) -> dict[str, Any]:
    try:
        checked: dict[str, Any] = TypeAdapter(form).validate_python(dict(args))
    except ValidationError as error:
        first = error.errors()[0]
        name, message = first["loc"][0], first["msg"]
        raise InputError(
            f"engine option {name} = {first['input']!r}: {message[0].lower()}{message[1:]}"
        ) from error
    return checked
