"""Print the figures of runs, or write them as one HTML page."""

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from tts.cli._laws import law_lines
from tts.console import flags, output, tables
from tts.evals.laws import laws_of
from tts.evals.report import summary_of
from tts.evals.run_store import load_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, of finished or unfinished runs.", metavar="RUN"),
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write the table and the figure to this HTML page."),
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", help="Write the figure to this picture.")
    ] = None,
    as_json: flags.JsonFlag = False,
) -> None:
    """Print the figures of runs, finished or not; write them as a page or a picture.

    Example: tts report runs/chain-* --html report.html
    """
    stored = [load_run(folder) for folder in runs]
    summaries: list[Any] = [dict(summary_of(run)) for run in stored]
    if png is not None:
        # Loads matplotlib, which the table alone does not need.
        import_module("tts.evals.plot").save_plot(summaries, png)
    if html is not None:
        import_module("tts.evals.page").save_page(summaries, html)
    if as_json:
        laws = [None if (law := laws_of(run.records)) is None else asdict(law) for run in stored]
        output.print_json({"schema": 1, "runs": summaries, "laws": laws})
        return
    output.print_table(tables.summary_table(summaries))
    for run in stored:
        name = f"{run.config['benchmark']} {run.config['preset']}"
        output.print_lines(law_lines(name, run.records))
    for path in (png, html):
        if path is not None:
            typer.echo(f"wrote {path}")
