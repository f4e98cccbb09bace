"""Look at runs in a browser: figures, problems, attempts, votes, search trees; live."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from tts.console import output
from tts.viewer.runs import Library
from tts.viewer.server import serve

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def view(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Run folders, or folders that hold some [default: runs].", metavar="[FOLDER]..."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Listen here; 0 is any free port.")
    ] = 8765,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Show runs in a browser, also while they go on. Nothing leaves this machine.

    Example: tts view runs
    """
    library = Library(folders or [Path("runs")])

    def started(address: str) -> None:
        output.print_text(f"{len(library.runs())} runs at {address} (Ctrl-C ends)")
        if browser:
            webbrowser.open(address)

    output.run_async(serve(library, port=port, started=started), if_interrupted="closed")
