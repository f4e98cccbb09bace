"""The command `tts`: finds the subcommand's file, runs it, turns errors into messages.

A subcommand is a module of this folder with an `app`; it is imported when it is called, so that
`tts --help` costs nothing.
"""

import ast
import logging
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from tts.console import output
from tts.errors import CapabilityError, ContextError, InputError, ModelError, OutageError, TTSError
from tts.version import VERSION

_BAD_INPUT = (InputError, CapabilityError, ContextError, ModelError)
_FOLDER = Path(__file__).parent


class _OneLine(logging.Formatter):
    """A log record as one line, without a stack trace."""

    def format(self, record: logging.LogRecord) -> str:
        """Return level and message; what is only told has no level."""
        level = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        return output.clean(f"{level}{record.getMessage()}")


class _Whole(logging.Formatter):
    """A log record with its stack trace."""

    def format(self, record: logging.LogRecord) -> str:
        """Return message and stack trace."""
        return output.clean(super().format(record))


class _Commands(typer.core.TyperGroup):
    """Subcommands that are imported when they are called; train_verifier.py is train-verifier."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the modules of this folder; one that begins with "_" belongs to another."""
        names = (module.name for module in pkgutil.iter_modules([str(_FOLDER)]))
        public = (name for name in names if name[0] != "_" and name != "main")
        return sorted(name.replace("_", "-") for name in public)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a subcommand; while only a list is wanted, read its first line instead.

        Raises:
            InputError: There is no such subcommand.
        """
        if cmd_name not in self.list_commands(ctx):
            # Loads pydantic, which `tts --help` does without.
            catalog = import_module("tts.parts.catalog")
            raise InputError(catalog.unknown("command", cmd_name, self.list_commands(ctx)))
        if ctx.meta.get(_Commands, False):
            return typer.core.TyperCommand(cmd_name, help=_first_line(cmd_name))
        module = import_module(f"tts.cli.{_module_of(cmd_name)}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the list of subcommands without importing them."""
        ctx.meta[_Commands] = True
        super().format_help(ctx, formatter)


def _module_of(command: str) -> str:
    return command.replace("-", "_")


def _first_line(name: str) -> str:
    source = (_FOLDER / f"{_module_of(name)}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Test-time scaling for language models: sampling, voting and search on vLLM.\n\n"
        'Example: tts solve "What is 7 * 8?" --preset self_consistency'
    ),
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        output.print_text(f"tts {VERSION}")
        raise typer.Exit


@app.callback()
def _main(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log to standard error, stack traces included.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            "--plugin",
            metavar="MODULE",
            help="Import a module that presets may then name by its dotted path.",
        ),
    ] = None,
) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Whole() if verbose else _OneLine())
    logger = logging.getLogger("tts")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.propagate = False
    logging.getLogger("tts.starting").setLevel(logging.INFO)
    for module in plugin or ():
        _load_plugin(module)


def _load_plugin(module: str) -> None:
    """Load a plug-in from where Python looks, or from the current folder."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    import_module("tts.parts.plugins").load_plugin(module)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code: 0 success, 2 bad use, 1 anything else.

    A run that a server left unfinished gives 3, one that was interrupted 130.
    """
    try:
        typer.main.get_command(app).main(list(arguments), prog_name="tts")
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except TTSError as error:
        output.print_error(str(error))
        return _exit_code(error)
    return 0


def _exit_code(error: TTSError) -> int:
    if isinstance(error, OutageError):
        return output.UNFINISHED
    return 2 if isinstance(error, _BAD_INPUT) else 1


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))
