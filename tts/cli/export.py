"""Write runs as a table for other programs, as a log of inspect_ai, or to an experiment tracker."""

from pathlib import Path
from typing import Annotated

import typer

from tts.cli._runs import load_runs
from tts.console import flags, output
from tts.errors import InputError
from tts.evals.export import export_runs
from tts.evals.trackers import TRACKERS, track_runs

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def export(
    runs: flags.RunsArgument,
    out: Annotated[
        Path | None,
        flags.out_file(
            "FILE.csv or FILE.parquet, a row for each sample; FILE.eval or FILE.json, a log of "
            "inspect_ai."
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help=f"An experiment tracker in place of a file: {', '.join(TRACKERS)}. Where it "
            "writes is set as always with it, such as by WANDB_MODE or MLFLOW_TRACKING_URI.",
            metavar="TRACKER",
        ),
    ] = None,
    project: Annotated[
        str, typer.Option("--project", help="The project of the tracker, or its experiment.")
    ] = "tts",
    texts: Annotated[
        bool, typer.Option("--texts", help="Write the samples' texts into a table too.")
    ] = False,
) -> None:
    """Write runs for other programs: a file, by its ending, or an experiment tracker.

    A tracker gets the parameters of each run, its figures with their intervals, and the table of
    its samples.

    Example: tts export runs/gsm8k-* -o samples.parquet
    """
    if (out is None) == (to is None):
        raise InputError("say where to: -o FILE, or --to TRACKER")
    stored = load_runs(runs)
    if out is not None:
        rows = export_runs(stored, out, texts=texts)
        output.print_text(f"wrote {out}, {rows:,} rows")
    elif to is not None:
        track_runs(stored, to, project, texts=texts)
        count = f"{len(stored)} run{'s' * (len(stored) != 1)}"
        output.print_text(f"wrote {count} to {to}, project {project}")
