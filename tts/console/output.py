"""What every subcommand prints with: results to standard output, the rest to standard error.

All text for people goes through `clean`: what a model, a server or a file wrote cannot move the
cursor, set the title, fill the clipboard, or turn the direction of a line.
"""

import asyncio
import json
import os
import re
import shlex
import signal
import textwrap
from collections.abc import Callable, Coroutine, Iterable
from types import FrameType
from typing import Any, TypeVar

import typer
from rich.console import Console, JustifyMethod
from rich.measure import measure_renderables
from rich.table import Table
from rich.text import Text

WIDTH = 80
_LATEX = re.compile(r"[\\{}$&#%_^~]")
_UNLIMITED = 10_000
INTERRUPTED = 128 + signal.SIGINT
UNFINISHED = 3  # a server did not give all samples; the same command tries again
# Ctrl-C, and how schedulers and containers end a process, with what they do where nobody cares.
_ENDS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
_T = TypeVar("_T")
# Control characters of ASCII and Latin-1 but tabs and line ends, separators of lines, marks of
# direction, and halves of surrogate pairs, which cannot be printed at all.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def clean(text: str) -> str:
    r"""Return text whose control characters are written out, such as `\x1b` for an escape."""
    return _UNSAFE.sub(_written_out, text.replace("\r\n", "\n"))


def _written_out(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def print_text(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text for people to standard output or standard error."""
    typer.echo(clean(text), err=err, nl=nl)


def print_again(*words: object) -> None:
    """Print the command that does the same again, each word quoted as a shell needs it."""
    print_text(f"again {shlex.join(map(str, words))}")


def print_error(message: str) -> None:
    """Print one message to standard error."""
    typer.secho("error: ", fg=typer.colors.RED, bold=True, err=True, nl=False)
    print_text(message, err=True)


def print_note(message: str) -> None:
    """Print a remark to standard error."""
    print_text(message, err=True)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to standard output, folded at 80 columns; what is folded is indented."""
    for line in lines:
        print_text(textwrap.fill(clean(line), WIDTH, subsequent_indent="  "))


def print_json(value: Any) -> None:
    """Print one JSON object to standard output."""
    typer.echo(json.dumps(value, indent=2, default=str))


def width() -> int:
    """Return the columns of the terminal that standard output is; 80 of a pipe."""
    console = Console()
    return console.width if console.is_terminal else WIDTH


def print_table(table: Table) -> None:
    """Print a table to standard output: as wide as the terminal; 80 columns in a pipe.

    Where numbers and whole words need more, a table in a pipe has more: nothing is cut off. On a
    terminal of less than 80 columns it has up to 80, which the terminal wraps.
    """
    console = Console(highlight=False)
    least = _least_width(console, table)
    if console.is_terminal:
        console.width = max(console.width, min(WIDTH, least))
    else:
        console.width = max(WIDTH, least)
    console.print(table)


def print_markdown(table: Table) -> None:
    """Print a table to standard output as Markdown, one line for each row."""
    columns = table.columns
    _print_row(str(column.header) for column in columns)
    _print_row("---:" if column.justify == "right" else "---" for column in columns)
    for row in zip(*(column.cells for column in columns), strict=True):
        _print_row(str(cell).replace("|", "\\|") for cell in row)


def print_latex(table: Table) -> None:
    """Print a table to standard output for LaTeX, with the rules of booktabs."""
    sides = "".join("r" if column.justify == "right" else "l" for column in table.columns)
    rows = zip(*(column.cells for column in table.columns), strict=True)
    print_text(rf"\begin{{tabular}}{{{sides}}}")
    print_text(r"\toprule")
    print_text(_latex_row(str(column.header) for column in table.columns))
    print_text(r"\midrule")
    for row in rows:
        print_text(_latex_row(map(str, row)))
    print_text("\\bottomrule\n\\end{tabular}")


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(_LATEX.sub(_latex_escape, cell) for cell in cells) + r" \\"


def _latex_escape(found: re.Match[str]) -> str:
    words = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return words.get(found.group(), rf"\{found.group()}")


def _print_row(cells: Iterable[str]) -> None:
    print_text(f"| {' | '.join(cells)} |")


def _least_width(console: Console, table: Table) -> int:
    """Return the columns that a table takes at least: whole numbers, whole words, gaps of two."""
    room = console.options.update(max_width=_UNLIMITED)
    widths = []
    for column in table.columns:
        measured = measure_renderables(console, room, [Text(str(column.header)), *column.cells])
        widths.append(measured.maximum if column.no_wrap else measured.minimum)
    return sum(widths) + 2 * (len(widths) - 1)


def new_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return an empty table; the columns named in `right` hold numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column in right
        side: JustifyMethod = "right" if is_number else "left"
        table.add_column(column, justify=side, no_wrap=is_number, overflow="fold")
    return table


def add_row(table: Table, *cells: str) -> None:
    """Add a row of plain text: brackets are brackets, not markup."""
    table.add_row(*(Text(clean(cell)) for cell in cells))


def run_async(work: Coroutine[Any, Any, _T], *, if_interrupted: str) -> _T:
    """Run a coroutine; on Ctrl-C or SIGTERM let it clean up, print a line, exit with 130 or 143.

    A second one does not wait for that.
    """
    interrupts = _Interrupts(if_interrupted)
    before = {number: signal.signal(number, interrupts) for number in _ENDS}
    for number, handler in before.items():
        if handler is not _ENDS[number]:  # somebody else's, or ignored in the background
            signal.signal(number, handler)
    try:
        return asyncio.run(interrupts.watch(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print_note(f"\n{if_interrupted}")
        raise typer.Exit(interrupts.exit_code) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Interrupts:
    """Handles what ends a process: the first signal cancels the work, the second ends the process.

    Args:
        message: Printed before the process ends.
    """

    def __init__(self, message: str) -> None:
        self.exit_code = INTERRUPTED
        self._message = message
        self._has_come = False
        self._cancel: Callable[[], object] = _ignore

    async def watch(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do work that the first interrupt cancels."""
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self._has_come:
            task.cancel()
        return await task

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self.exit_code = 128 + number
        if self._has_come:
            print_note(f"\n{self._message}")
            # What is finished is on disk; tasks that are torn apart would each complain.
            os._exit(self.exit_code)
        self._has_come = True
        self._cancel()


def _ignore() -> None:
    """Do nothing."""
