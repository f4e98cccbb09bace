"""Print the figures of runs, or write them as one HTML page."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from tts.cli._laws import law_lines
from tts.cli._runs import load_runs
from tts.cli._written_tests import written_test_lines
from tts.console import flags, output, tables
from tts.evals.choices import chosen_rows
from tts.evals.compare import models_differ
from tts.evals.laws.coverage import laws_of
from tts.evals.report import summary_of
from tts.evals.stored_run import StoredRun
from tts.evals.units import choose_unit, parse_unit
from tts.types.figures import SCHEMA

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, of finished or unfinished runs.", metavar="RUN"),
    ],
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", help="Write what tts view shows of these runs to one page, for any browser."
        ),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table alone, as Markdown.")
    ] = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print the table alone, for LaTeX with booktabs.")
    ] = False,
    unit: flags.UnitFlag = None,
    as_json: flags.JsonFlag = False,
) -> None:
    """Print the figures of runs, finished or not; write them as a page.

    Example: tts report runs/chain-* --html report.html
    """
    asked = None if unit is None else parse_unit(unit)
    stored = load_runs(runs)
    summaries = [summary_of(run) for run in stored]
    differ = models_differ(stored)
    chosen = asked or choose_unit([summary.cost for summary in summaries], models_differ=differ)
    if html is not None:
        folders = [run.folder for run in stored]
        if left_out := import_module("tts.viewer.page").save_page(folders, html, chosen):
            output.print_note(f"note: {left_out:,} problems had no room in {html}")
    if as_json:
        figures = [summary.to_json() for summary in summaries]
        laws = [None if (law := laws_of(run.records)) is None else asdict(law) for run in stored]
        choices = [[asdict(row) for row in chosen_rows(run.records)] for run in stored]
        output.print_json(
            {"schema": SCHEMA, "unit": chosen, "runs": figures, "laws": laws, "choices": choices}
        )
        return
    shown = chosen if asked is not None or differ else None
    if markdown or latex:
        printed = output.print_latex if latex else output.print_markdown
        printed(tables.summary_table(summaries, shown))
        return
    output.print_table(tables.summary_table(summaries, shown, width=output.width()))
    output.print_lines(tables.notes(summaries))
    output.print_lines(_version_notes(stored))
    output.print_lines(tables.unknown_costs(summaries, shown))
    named = [(f"{run.config['benchmark']} {run.config['preset']}", run.records) for run in stored]
    output.print_lines(law_lines(named))
    for name, records in named:
        if rows := chosen_rows(records):
            output.print_text(f"{name}: what was chosen, by the chance that the first samples left")
            output.print_table(tables.chosen_table(rows))
        output.print_lines(written_test_lines(name, records))
    if html is not None:
        output.print_text(f"wrote {html}")


def _version_notes(runs: Sequence[StoredRun]) -> Iterator[str]:
    for run in runs:
        for name, version in run.versions.items():
            if "," in version:
                yield f"note: {run.folder.name}: its sessions had different {name}: {version}"
