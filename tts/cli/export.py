"""Write runs as a table for other programs, or as a log of inspect_ai."""

from pathlib import Path
from typing import Annotated

import typer

from tts.cli._runs import load_runs
from tts.console import output
from tts.evals.export import export_runs

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def export(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", metavar="RUN")],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help="FILE.csv or FILE.parquet, a row for each sample; FILE.eval or FILE.json, a log "
            "of inspect_ai.",
            metavar="FILE",
        ),
    ],
    texts: Annotated[
        bool, typer.Option("--texts", help="Write the samples' texts into a table too.")
    ] = False,
) -> None:
    """Write runs for other programs, by the ending of the file.

    Example: tts export runs/gsm8k-* -o samples.parquet
    """
    rows = export_runs(load_runs(runs), out, texts=texts)
    output.print_text(f"wrote {out}, {rows:,} rows")
