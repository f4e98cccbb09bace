"""Run folders and pools as they are typed."""

from collections.abc import Sequence
from pathlib import Path

from tts.console import output
from tts.errors import InputError
from tts.evals.benchmarks.pool import series_of_pools
from tts.evals.compare import unfinished_note
from tts.evals.laws.series import Series, series_of_run
from tts.evals.stored_run import StoredRun, load_run


def load_runs(paths: Sequence[Path]) -> list[StoredRun]:
    """Read runs; files among them, such as the pictures that lie beside runs, are passed over.

    Raises:
        InputError: There is no folder among them.
        StoreError: A folder holds no run, or cannot be read.
    """
    for path in paths:
        if path.is_file():
            output.print_note(f"passed over {path}, which is no run folder")
    folders = [path for path in paths if not path.is_file()]
    if not folders:
        raise InputError("none of these is a run folder, such as tts eval makes in runs/")
    return [load_run(folder) for folder in folders]


def unique_names(runs: Sequence[StoredRun]) -> list[str]:
    """Return preset, benchmark and model of each run, as far as they tell the runs apart."""
    parts = [
        (str(c["preset"]), str(c["benchmark"]), Path(str(c["model"])).name)
        for c in (run.config for run in runs)
    ]
    for shown in ((0,), (0, 1), (0, 2), (0, 1, 2)):
        names = [", ".join(part[i] for i in shown) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [run.folder.name for run in runs]


def load_series(
    runs: Sequence[Path], pools: Sequence[str], *, need_fair_draw: bool = True
) -> list[Series]:
    """Read the samples of runs and of every model in pools.

    Args:
        runs: Run folders.
        pools: As `series_of_pools` takes them.
        need_fair_draw: Refuse runs in which a rule decided how many samples there are.

    Raises:
        InputError: Nothing is named, or a run's samples are no fair draw.
        ProblemError: A pool cannot be read.
        StoreError: A folder holds no run, or cannot be read.
    """
    if not runs and not pools:
        raise InputError("name run folders, or pools of recorded samples with --pool FILE")
    stored = load_runs(runs) if runs else []
    names = unique_names(stored)
    for run in stored:
        if note := unfinished_note(run):
            output.print_note(f"note: {note}")
    found = [
        series_of_run(run, name, need_fair_draw=need_fair_draw)
        for run, name in zip(stored, names, strict=True)
    ]
    return [*found, *(series for address in pools for series in series_of_pools(address))]
