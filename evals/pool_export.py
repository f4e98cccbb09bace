"""A run as a pool of recorded samples, which `--model replay:FILE` draws from again."""

import gzip
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.errors import InputError
from tts.evals.records import Record, Sample
from tts.evals.stored_run import StoredRun, load_run, log_of, read_statements
from tts.runtime.log_file import read_completions
from tts.storage.json_bytes import encode_json
from tts.storage.sealed_lines import cannot_write

# What a completion's line may say of each of its tokens, by what was chosen.
_IDS = ("token_ids",)
_LOGPROBS = ("logprobs", "confidences")
_OWN_KEYS = {
    *("problem_id", "id", "model", "config", "gold", "answer", "problem", "samples", "run"),
    *("prompt_tokens", "shape"),
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What a pool was given.

    Attributes:
        problems: Lines of the file.
        samples: All of them.
        without_text: Samples whose text no single completion of the run is.
        cut: Problems of which a rule or a limit decided how many samples there are, so that they
            are no fair draw.
    """

    problems: int
    samples: int
    without_text: int
    cut: int


def export_pool(
    folder: Path, out: Path, *, token_ids: bool = False, logprobs: bool = False
) -> Exported:
    """Write the finished problems of a run as a pool; what `out` held before is replaced.

    A problem's samples are those that were drawn in view of no other, of all repeats: a pool
    answers plain requests for a solution.

    Args:
        folder: Of the run.
        out: The file; compressed where its name ends in ".gz".
        token_ids: Write the generated tokens too.
        logprobs: Write their log-probabilities and confidences too.

    Raises:
        InputError: The run asked several models, has nothing to write, or did not record what is
            asked for.
        StoreError: There is no run, or the file cannot be written.
    """
    run = load_run(folder)
    if others := sorted(set(run.config.get("samplers", ())) - {""}):
        raise InputError(
            f"{folder}: its samples come from several engines ({', '.join(others)} beside the "
            "run's own); a pool is of one model"
        )
    texts = Texts(folder, (*(_IDS if token_ids else ()), *(_LOGPROBS if logprobs else ())))
    rows = [_row(run, texts, *pair) for pair in _by_problem(run, folder)]
    samples = [sample for row in rows for sample in row["samples"]]
    if not samples:
        raise InputError(f"{folder}: no finished problem has a sample that a pool could hold")
    if token_ids and not any("token_ids" in sample for sample in samples):
        raise InputError(f"{folder}: the run's engine reported no token ids")
    if logprobs and not any("logprobs" in sample for sample in samples):
        raise InputError(
            f"{folder}: the run asked for no log-probabilities; run it with "
            "--set sampling.logprobs=20"
        )
    write_pool(out, rows)
    return Exported(
        problems=len(rows),
        samples=len(samples),
        without_text=sum("text" not in sample for sample in samples),
        cut=len({record.id for record in run.records if record.is_cut}),
    )


def _by_problem(
    run: StoredRun, folder: Path
) -> Iterator[tuple[Mapping[str, Any], list[tuple[Record, Sample]]]]:
    """Yield each finished problem in the order stated, with its samples by repeat, node, seed."""
    found: dict[str, list[tuple[Record, Sample]]] = {}
    for record in run.records:
        pairs = [(record, sample) for sample in record.independent_samples]
        found.setdefault(record.id, []).extend(pairs)
    for stated in read_statements(folder):
        pairs = found.get(stated["problem"], [])
        if pairs:
            yield stated, sorted(pairs, key=lambda p: (p[0].repeat, p[1].node, p[1].seed))


class Texts:
    """The completions of a run, by what joins them to samples.

    Args:
        folder: Of the run.
        columns: What is kept of each beside its text, as `Completion` has it.
    """

    def __init__(self, folder: Path, columns: Iterable[str]) -> None:
        self._columns = ("text", *columns)
        self._found: dict[tuple[str, int, str, int], list[dict[str, Any]]] = {}
        self._prompts: dict[tuple[str, int, str], int | None] = {}
        for values in read_completions(log_of(folder)):
            key = values["problem"], values["repeat"], values["node"], values["seed"]
            kept = {name: values[name] for name in self._columns if name in values}
            self._prompts.setdefault(key[:3], values["usage"]["prompt_tokens"])
            self._found.setdefault(key, []).append(kept)

    def of(self, record: Record, sample: Sample) -> dict[str, Any]:
        """Return what a sample said; nothing where no completion, or several, make it up."""
        found = self._found.get((record.id, record.repeat, sample.node, sample.seed), [])
        return found[0] if len(found) == 1 else {}

    def prompt_tokens(self, record: Record, sample: Sample) -> int | None:
        """Return how long the prompt of a sample was; None where nobody counted."""
        return self._prompts.get((record.id, record.repeat, sample.node))


def _row(
    run: StoredRun,
    texts: Texts,
    stated: Mapping[str, Any],
    pairs: Sequence[tuple[Record, Sample]],
) -> dict[str, Any]:
    config, prompt_tokens = run.config, texts.prompt_tokens(*pairs[0])
    shape = {} if run.shape is None else run.shape.shape
    metadata = {key: value for key, value in stated["metadata"].items() if key not in _OWN_KEYS}
    return {
        "problem_id": stated["problem"],
        "model": config["model"],
        "problem": stated["statement"],
        "gold": stated["reference"],
        **metadata,
        "answer_type": stated["answer_type"],
        "run": {key: config[key] for key in ("benchmark", "preset", "seed")},
        **({} if prompt_tokens is None else {"prompt_tokens": prompt_tokens}),
        **({"shape": shape} if shape else {}),
        "samples": [_sample(record, sample) | texts.of(record, sample) for record, sample in pairs],
    }


def _sample(record: Record, sample: Sample) -> dict[str, Any]:
    said: dict[str, Any] = {"answer": sample.answer, "tokens": sample.tokens}
    if record.correct is not None:  # else nobody could tell
        said["correct"] = sample.correct
    if len(sample.scores) == 1:
        (said["score"],) = sample.scores.values()
    return said


def write_pool(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the lines of a pool; what the file held before is replaced once they are whole.

    Raises:
        StoreError: It cannot be written.
    """
    data = b"".join(encode_json(row) + b"\n" for row in rows)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise cannot_write(path, error) from error
