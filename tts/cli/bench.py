"""Measure ourselves against others, side by side in one run."""

import pkgutil
from importlib import import_module
from pathlib import Path

import typer

_PREFIX = "bench_"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Measure ourselves against others, side by side.\n\nExample: tts bench runtime",
)


@app.callback()
def _main() -> None:
    """Keep a single benchmark a subcommand."""


def _add_all() -> None:
    """Make function NAME of every module `bench_NAME` of this folder a subcommand."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name.startswith(_PREFIX):
            name = module.name.removeprefix(_PREFIX)
            app.command(name)(getattr(import_module(f"tts.cli.{module.name}"), name))


_add_all()
