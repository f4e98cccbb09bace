"""Measure ourselves against others, side by side in one run."""

from importlib import import_module

import typer

from tts import bench

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Measure ourselves against others, side by side.\n\nExample: tts bench runtime",
)


@app.callback()
def _main() -> None:
    """Keep a single benchmark a subcommand."""


for name in bench.COMMANDS:
    app.command(name)(getattr(import_module(f"{bench.__name__}.{name}"), name))
