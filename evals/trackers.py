"""Runs in experiment trackers: parameters, figures with their intervals, a table of samples.

Each run is one of the tracker's, named after its folder: to write it again brings it up to date.
Where it goes is the tracker's own business, by its own settings: WANDB_MODE, WANDB_BASE_URL,
MLFLOW_TRACKING_URI, TRACKIO_DIR and the like.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tts.errors import InputError, optional_import
from tts.evals.export import sample_rows, write_csv
from tts.evals.report import summary_of
from tts.evals.stored_run import StoredRun

_MOST_LETTERS = 500  # of a parameter, in MLflow


@dataclass(frozen=True, slots=True)
class Entry:
    """What a tracker is given of a run.

    Attributes:
        name: Of its folder.
        parameters: What was asked, by names with dots.
        figures: By names with dots.
        rows: One for each sample.
    """

    name: str
    parameters: dict[str, Any]
    figures: dict[str, float]
    rows: tuple[dict[str, Any], ...]

    @property
    def columns(self) -> list[str]:
        """What any of the rows has."""
        return list(dict.fromkeys(key for row in self.rows for key in row))

    @property
    def cells(self) -> list[list[Any]]:
        """The rows in the order of the columns; None for what one has not."""
        columns = self.columns
        return [[row.get(column) for column in columns] for row in self.rows]


def track_runs(runs: Sequence[StoredRun], tracker: str, project: str, *, texts: bool) -> None:
    """Write runs to a tracker.

    Args:
        runs: What is written.
        tracker: One of `TRACKERS`.
        project: Holds them there; in MLflow, the experiment.
        texts: Write the samples' texts too.

    Raises:
        InputError: There is no such tracker, or nothing of a run is finished.
        MissingExtraError: The tracker's library is not installed.
    """
    if tracker not in TRACKERS:
        raise InputError(f"--to {tracker}: write {', '.join(TRACKERS)}")
    with optional_import(f"writing to {tracker}"):
        library = import_module(tracker)
    for run in runs:
        rows = tuple(sample_rows(run, texts=texts))
        write = TRACKERS[tracker]
        write(library, project, Entry(run.folder.name, _parameters(run), _figures(run), rows))


def _parameters(run: StoredRun) -> dict[str, Any]:
    return dict(_leaves(json.loads(json.dumps(dict(run.config), default=str))))


def _figures(run: StoredRun) -> dict[str, float]:
    values = summary_of(run).to_json()
    low, high = values.pop("interval")
    named = {**values, "accuracy_low": low, "accuracy_high": high}
    return {
        name: value
        for name, value in _leaves(named)
        if isinstance(value, int | float) and name not in ("schema", "seed")
    }


def _leaves(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        elif value is not None:
            yield f"{before}{key}", value


def _to_wandb(wandb: Any, project: str, entry: Entry) -> None:
    run = wandb.init(
        project=project, id=entry.name, name=entry.name, config=entry.parameters, resume="allow"
    )
    table = wandb.Table(columns=entry.columns, data=entry.cells, allow_mixed_types=True)
    run.log({**entry.figures, "samples": table})
    run.finish()


def _to_mlflow(mlflow: Any, project: str, entry: Entry) -> None:
    experiment = mlflow.set_experiment(project).experiment_id
    known = mlflow.search_runs(
        [experiment], f"attributes.run_name = '{entry.name}'", output_format="list"
    )
    run_id = known[0].info.run_id if known else None
    texts = {key: str(value)[:_MOST_LETTERS] for key, value in entry.parameters.items()}
    with mlflow.start_run(run_id=run_id, run_name=entry.name), TemporaryDirectory() as folder:
        mlflow.log_params(texts)
        mlflow.log_metrics(entry.figures)
        write_csv(entry.rows, Path(folder, "samples.csv"))
        mlflow.log_artifact(str(Path(folder, "samples.csv")))


def _to_trackio(trackio: Any, project: str, entry: Entry) -> None:
    trackio.init(
        project=project,
        name=entry.name,
        config=entry.parameters,
        resume="allow",
        auto_log_cpu=False,
    )
    table = trackio.Table(columns=entry.columns, data=entry.cells)
    trackio.log({**entry.figures, "samples": table})
    trackio.finish()


TRACKERS: Mapping[str, Callable[[Any, str, Entry], None]] = {
    "wandb": _to_wandb,
    "mlflow": _to_mlflow,
    "trackio": _to_trackio,
}
