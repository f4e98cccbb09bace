"""Pools: recorded samples of real models, as JSON Lines, plain or compressed with gzip.

A line is one problem by one model, with all its samples:

    {"problem_id": "a", "model": "m", "gold": "4", "samples": [{"answer": "4", "correct": true}]}

A sample may also have `tokens` (generated), `text`, `seconds`, `score` (higher is better),
`step_scores`, and of its tokens `token_ids`, `logprobs` and `confidences`. A line may have
`problem` (the statement), `prompt_tokens` (of the request for a solution), `shape` (of the model,
as `ModelInfo.shape`; else it is found by the model's name), `config` (settings of the model) and
any other key, which becomes metadata. Lines of one model and configuration are a series; a file
with several is read as "FILE#model" or, with a configuration, "FILE#model {"effort": "high"}".
"""

import gzip
import hashlib
import itertools
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tts.costs.shapes import known_shape
from tts.errors import ProblemError
from tts.types import AnswerType, ModelInfo, Problem

_MAX_LINE_BYTES = 64 * 2**20
_MAX_RATIO = 100  # texts of models are packed to a tenth or so
_FREE_BYTES = 64 * 2**20  # up to here any ratio will do
# Of a line; what else it has is metadata of its problem.
_OWN_KEYS = {
    *("problem_id", "id", "problem", "gold", "answer", "answer_type", "samples"),
    *("prompt_tokens", "shape"),
}
_SHAPE_KEYS = (
    "layers, query_heads, kv_heads, head_size, dtype and what else a ModelInfo's shape has"
)
_ANSWER_TYPES: tuple[AnswerType, ...] = get_args(AnswerType)


class RecordedSample(BaseModel):
    """One sample as a pool's line writes it; other keys are ignored.

    Attributes:
        answer: The final answer; None where there was none, or none was recorded.
        correct: Whether it is right; None if unknown.
        tokens: Generated tokens; None if not counted.
        text: Everything that was generated; empty if not kept.
        score: Of the verifier that was recorded with it.
        step_scores: Of each step.
        model: Where the samples of one line come from several models.
        token_ids: Generated; empty if not kept.
        logprobs: Of each generated token; None if not kept.
        confidences: Of each, over as many candidates as were asked for when it was recorded.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    answer: str | None = None
    correct: bool | None = None
    tokens: int | None = Field(None, ge=0)
    seconds: float | None = Field(None, ge=0)
    text: str = ""
    score: float | None = None
    step_scores: tuple[float, ...] = ()
    model: str | None = None
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] | None = None
    confidences: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class RecordedProblem:
    """A problem and its samples, in the order recorded.

    Attributes:
        problem: The problem.
        samples: Of one model.
        prompt_tokens: Of the request that they answered; None if not counted.
    """

    problem: Problem
    samples: tuple[RecordedSample, ...]
    prompt_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """The samples of one model by one configuration.

    Attributes:
        path: The file.
        series: The model's name, with its configuration if it has one.
        problems: In the order of the file; ids are unique.
        fingerprint: Changes when the samples do.
        shape: Of the model, as its lines say or its name tells; None where nobody knows it.
    """

    path: Path
    series: str
    problems: tuple[RecordedProblem, ...]
    fingerprint: str
    shape: ModelInfo | None = None

    @property
    def has_tokens(self) -> bool:
        """Whether every sample's tokens were counted."""
        return all(s.tokens is not None for p in self.problems for s in p.samples)

    @property
    def has_logprobs(self) -> bool:
        """Whether the log-probabilities of every sample's tokens were kept."""
        return all(s.logprobs is not None for p in self.problems for s in p.samples)

    @property
    def has_prompt_tokens(self) -> bool:
        """Whether the tokens of every problem's prompt were counted."""
        return all(p.prompt_tokens is not None for p in self.problems)

    @property
    def is_mixed(self) -> bool:
        """Whether a problem's samples come from several models."""
        return any(len({s.model for s in p.samples}) > 1 for p in self.problems)


def split_address(address: str) -> tuple[Path, str]:
    """Return the file and the series, empty if none, of "FILE#series"."""
    file, _, series = address.partition("#")
    return Path(file), series


def load_pool(address: str) -> Pool:
    """Read one series of a pool.

    Args:
        address: "FILE" or "FILE#series"; a part of the series' name will do if no other has it.

    Raises:
        ProblemError: The file cannot be read, a line is no recorded problem, or the series is not
            in it or not named although there are several.
    """
    path, wanted = split_address(address)
    found = load_series(path)
    name = _choose(path, list(found), wanted)
    return found[name]


def load_series(path: Path) -> dict[str, Pool]:
    """Read every series of a pool, by name.

    Raises:
        ProblemError: The file cannot be read, or a line is no recorded problem.
    """
    by_series: dict[str, dict[str, RecordedProblem]] = {}
    digests: dict[str, Any] = {}
    shapes: dict[str, ModelInfo] = {}
    for where, line in _lines(path):
        row = _object(line, where)
        recorded = _to_recorded(row, where)
        series = _series_of(row)
        known = by_series.setdefault(series, {})
        digests.setdefault(series, hashlib.blake2b(digest_size=8)).update(line)
        before = known.get(recorded.problem.id)
        if before is not None:  # another run of the same model and configuration
            recorded = replace(before, samples=before.samples + recorded.samples)
        known[recorded.problem.id] = recorded
        if row.get("shape") and series not in shapes:
            shapes[series] = _shape(row["shape"], series, where)
    if not by_series:
        raise ProblemError(f"{path}: no recorded problems")
    return {
        name: Pool(
            path,
            name,
            tuple(known.values()),
            digests[name].hexdigest(),
            shapes.get(name) or known_shape(name),
        )
        for name, known in by_series.items()
    }


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the lines of a pool as they were written, each after the place where it stands.

    Raises:
        ProblemError: The file cannot be read, or a line is no recorded problem.
    """
    for where, line in _lines(path):
        row = _object(line, where)
        _to_recorded(row, where)
        yield where, row


def _choose(path: Path, names: Sequence[str], wanted: str) -> str:
    if wanted in names:
        return wanted
    near = [name for name in names if wanted in name]
    if len(near) == 1:
        return near[0]
    shown = "\n".join(f"  {path}#{name}" for name in sorted(near or names)[:20])
    what = "holds several models" if not wanted else f"has no single model {wanted!r}"
    raise ProblemError(f"{path} {what}; name one of\n{shown}")


def _series_of(row: Mapping[str, Any]) -> str:
    model, config = str(row.get("model") or "recorded"), row.get("config")
    return f"{model} {json.dumps(config, sort_keys=True)}" if config else model


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the lines of a pool while they are no longer, and not more, than those of one are.

    Each comes after its place; empty ones are left out.
    """
    try:
        limit = max(_FREE_BYTES, _MAX_RATIO * path.stat().st_size)
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number in itertools.count(1):
                line = file.readline(_MAX_LINE_BYTES + 1)
                limit -= len(line)
                if not line:
                    return
                if len(line) > _MAX_LINE_BYTES:
                    size = f"{_MAX_LINE_BYTES >> 20} MiB"
                    raise ProblemError(f"{path}:{number}: a line of more than {size}")
                if limit < 0:
                    raise ProblemError(
                        f"{path}:{number}: unpacked it is {_MAX_RATIO} times as large as packed, "
                        "which no recorded samples are; unpack it yourself if you trust it"
                    )
                if line.strip():
                    yield f"{path}:{number}", line
    except (OSError, EOFError, zlib.error) as error:
        raise ProblemError(f"cannot read the pool {path}: {error}") from error


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProblemError(f"{where}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise ProblemError(f"{where}: each line is one object with problem_id and samples")
    return row


def _to_recorded(row: Mapping[str, Any], where: str) -> RecordedProblem:
    problem_id = row.get("problem_id", row.get("id"))
    if problem_id is None or problem_id == "":
        raise ProblemError(f"{where}: no 'problem_id'")
    gold = row.get("gold", row.get("answer"))
    own_type: AnswerType = next((t for t in _ANSWER_TYPES if t == row.get("answer_type")), "math")
    problem = Problem(
        id=str(problem_id),
        statement=str(row.get("problem") or f"Recorded problem {problem_id}"),
        reference=None if gold is None else str(gold),
        answer_type=own_type,
        metadata={key: value for key, value in row.items() if key not in _OWN_KEYS},
    )
    samples = row.get("samples", [])
    if not isinstance(samples, list):
        raise ProblemError(f"{where}: 'samples' is not a list")
    prompt_tokens = row.get("prompt_tokens")
    if prompt_tokens is not None and (type(prompt_tokens) is not int or prompt_tokens < 0):
        raise ProblemError(f"{where}: 'prompt_tokens' is no number of tokens")
    return RecordedProblem(
        problem,
        tuple(_to_sample(s, f"{where}: sample {i}") for i, s in enumerate(samples)),
        prompt_tokens,
    )


def _shape(values: Any, series: str, where: str) -> ModelInfo:
    try:
        info = ModelInfo(name=series, fingerprint="", **values)
    except TypeError as error:
        raise ProblemError(f"{where}: 'shape' is no shape of a model: {error}") from error
    if info.shape != values:
        raise ProblemError(f"{where}: 'shape' has parameters, and beside them only {_SHAPE_KEYS}")
    return info


def _to_sample(values: Any, where: str) -> RecordedSample:
    try:
        return RecordedSample.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ProblemError(f"{where}: {key}: {first['msg']}") from error
