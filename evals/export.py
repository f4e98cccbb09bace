"""Runs as tables, and as logs of inspect_ai, for other programs."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from tts.errors import InputError, optional_import
from tts.evals.records import Record, Sample
from tts.evals.report import summary_of
from tts.evals.sample_texts import SampleTexts
from tts.evals.stored_run import StoredRun, read_statements
from tts.storage.sealed_lines import cannot_write, read_json

_TABLES = (".csv", ".parquet")
_LOGS = (".eval", ".json")
_TARGETS = {True: "C", False: "I", None: "N"}  # right, wrong, ungraded, as inspect_ai writes them


def export_runs(runs: Sequence[StoredRun], path: Path, *, texts: bool = False) -> int:
    """Write runs to a file in the form that its ending names; returns its rows.

    `.csv` and `.parquet` have one row for each sample of each problem. `.eval` is a log that
    inspect_ai reads and its viewer shows, `.json` the same uncompressed; one run is one log.

    Args:
        runs: What is written.
        path: The file.
        texts: Write the samples' texts too, as a log does.

    Raises:
        InputError: The ending is another, or several runs are to be one log.
        MissingExtraError: pyarrow or inspect_ai is not installed.
        StoreError: The file cannot be written.
    """
    if path.suffix not in (*_TABLES, *_LOGS):
        raise InputError(f"{path}: the file ends in one of {', '.join((*_TABLES, *_LOGS))}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in _LOGS:
            return _write_log(runs, path)
        rows = [row for run in runs for row in sample_rows(run, texts=texts)]
        if not rows:
            raise InputError("none of these runs has a finished problem")
        _WRITERS[path.suffix](rows, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    return len(rows)


def sample_rows(run: StoredRun, *, texts: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for each sample of each problem.

    Args:
        run: Of which.
        texts: With the samples' texts.
    """
    said = SampleTexts(run.folder) if texts else None
    stated = {line["problem"]: line for line in read_statements(run.folder)}
    config = run.config
    common = {key: config[key] for key in ("benchmark", "preset", "model", "seed")}
    for record in run.records:
        for sample in record.samples:
            yield {
                "run": run.folder.name,
                **common,
                "problem": record.id,
                "repeat": record.repeat,
                "reference": stated.get(record.id, {}).get("reference"),
                "chosen": record.answer,
                "chosen_correct": record.correct,
                "problem_tokens": record.usage.generated_tokens,
                "problem_seconds": record.seconds,
                "sample": sample.id,
                "sample_seed": sample.seed,
                "answer": sample.answer,
                "answer_class": sample.answer_class,
                "correct": sample.correct,
                "tokens": sample.tokens,
                "is_independent": sample.is_independent,
                **{f"score_{name}": value for name, value in sample.scores.items()},
                **({} if said is None else {"text": said.of(record, sample)}),
            }


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows to a file, with a column for each key that any of them has."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    with optional_import("a .parquet file"):
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    columns = dict.fromkeys(key for row in rows for key in row)
    parquet.write_table(
        arrow.table({column: [row.get(column) for row in rows] for column in columns}), path
    )


_WRITERS = {".csv": write_csv, ".parquet": _write_parquet}


def _write_log(runs: Sequence[StoredRun], path: Path) -> int:
    if len(runs) != 1:
        raise InputError(f"{path}: a log is of one run; {len(runs)} were named")
    (run,) = runs
    with optional_import("a log of inspect_ai"):
        log, model = import_module("inspect_ai.log"), import_module("inspect_ai.model")
        scoring = import_module("inspect_ai.scorer")
    stated = {line["problem"]: line for line in read_statements(run.folder)}
    texts = SampleTexts(run.folder)
    samples = [
        _log_sample(run, record, stated.get(record.id, {}), texts, log, model, scoring)
        for record in run.records
    ]
    head = read_json(run.folder / "run.json") or {}
    created = datetime.fromisoformat(head["created"])
    whole = log.EvalLog(
        status="success" if run.is_finished else "started",
        eval=_log_spec(run, log, created),
        results=_log_results(run, log),
        stats=log.EvalStats(
            started_at=created.isoformat(),
            completed_at=(created + timedelta(seconds=run.seconds)).isoformat(),
        ),
        samples=samples,
    )
    log.write_eval_log(whole, str(path))
    return len(samples)


def _log_spec(run: StoredRun, log: Any, created: datetime) -> Any:
    config = run.config
    return log.EvalSpec(
        created=created.isoformat(),
        task=f"{config['benchmark']} {config['preset']}",
        task_args={"preset": config["preset"], "seed": config["seed"]},
        model=str(config["model"]),
        dataset=log.EvalDataset(name=config["benchmark"], samples=int(config["problems"])),
        config=log.EvalConfig(epochs=int(config["repeats"])),
        metadata=json.loads(json.dumps(dict(config), default=str)),
    )


def _log_results(run: StoredRun, log: Any) -> Any:
    accuracy = summary_of(run).accuracy if run.records else 0.0
    metrics = {"accuracy": log.EvalMetric(name="accuracy", value=accuracy)}
    score = log.EvalScore(name="answer", scorer="answer", metrics=metrics)
    done = len(run.records)
    return log.EvalResults(total_samples=run.planned, completed_samples=done, scores=[score])


def _log_sample(
    run: StoredRun,
    record: Record,
    stated: Mapping[str, Any],
    texts: SampleTexts,
    log: Any,
    model: Any,
    scoring: Any,
) -> Any:
    usage = record.usage
    asked = [model.ChatMessageUser(content=stated.get("statement") or "")]
    said = [texts.of(record, sample) or "" for sample in record.samples]
    choices = [
        model.ChatCompletionChoice(message=model.ChatMessageAssistant(content=text))
        for text in said
    ]
    chosen = _chosen(record)
    written = said[record.samples.index(chosen)] if chosen is not None else ""
    answer = written or record.answer or ""
    tokens = model.ModelUsage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.generated_tokens or 0,
        total_tokens=(usage.prompt_tokens or 0) + (usage.generated_tokens or 0),
    )
    return log.EvalSample(
        id=record.id,
        epoch=record.repeat + 1,
        input=stated.get("statement") or "",
        target=str(stated.get("reference") or ""),
        messages=[*asked, model.ChatMessageAssistant(content=answer)],
        output=model.ModelOutput(model=str(run.config["model"]), choices=choices),
        scores={
            "answer": scoring.Score(
                value=_TARGETS[record.correct], answer=record.answer, explanation=record.error
            )
        },
        model_usage={str(run.config["model"]): tokens},
        total_time=record.seconds,
        metadata={
            "samples": [
                {"answer": s.answer, "correct": s.correct, "tokens": s.tokens, **s.scores}
                for s in record.samples
            ]
        },
    )


def _chosen(record: Record) -> Sample | None:
    """Return the first sample that gave the problem's answer."""
    return next(
        (s for s in record.samples if s.answer is not None and s.answer == record.answer), None
    )
