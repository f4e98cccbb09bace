"""Progress of a run: a bar on a terminal, a line now and then in a pipe."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from tts.console.output import clean, print_text
from tts.evals.plan import Plan
from tts.evals.progress import Progress, Show, every

# Between lines of a pipe: the first comes as soon as there is something to tell, then ever fewer.
_FIRST_LINE_SECONDS, _LONGEST_LINE_SECONDS = 1.0, 60.0
_REDRAW_SECONDS = 0.25


class ProgressView:
    """Shows how far one run has come, on standard error.

    Args:
        title: Benchmark and preset.
    """

    def __init__(self, title: str) -> None:
        self._title = title = clean(title)
        console = Console(stderr=True)
        self._bars: Bars | None = None
        if console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=8),
                MofNCompleteColumn(),
                TextColumn("{task.fields[details]}", style="dim"),
                console=console,
            )
            self._task = self._bars.add_task(title, total=None, details="")
        self._last_line, self._patience = time.monotonic(), _FIRST_LINE_SECONDS
        self._last: Progress | None = None

    def __enter__(self) -> Self:
        """Start drawing."""
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop drawing; the bar stays where it shows anything, and a pipe gets a last line."""
        if self._bars is not None:
            self._bars.update(self._task, visible=self._last is not None)
            self._bars.stop()
        elif self._last is not None:
            self._print_line(self._last)

    def show(self, progress: Progress) -> None:
        """Draw the progress, or print a line if the last one is old."""
        self._last = progress
        if self._bars is not None:
            self._bars.update(
                self._task,
                completed=progress.done,
                total=progress.total,
                details=describe(progress, is_short=True),
            )
        elif time.monotonic() - self._last_line >= self._patience_for(progress):
            self._patience = min(2 * self._patience, _LONGEST_LINE_SECONDS)
            self._print_line(progress)

    def _patience_for(self, progress: Progress) -> float:
        """Return the seconds between lines; as long as there is nothing to tell, the most."""
        has_begun = progress.tokens or progress.done
        return self._patience if has_begun else _LONGEST_LINE_SECONDS

    def _print_line(self, progress: Progress) -> None:
        self._last_line = time.monotonic()
        details = describe(progress, is_short=False)
        print_text(f"{self._title}: {progress.done}/{progress.total} done{details}", err=True)


@contextmanager
def watch(plan: Plan, *, model: str = "", has_seeds: bool = False) -> Iterator[Show]:
    """Show how far a plan has come while the block runs.

    Args:
        plan: It.
        model: Its model's name; empty where all plans have the same.
        has_seeds: Whether plans have different seeds.
    """
    words = [plan.benchmark, plan.preset.name, *([model] if model else [])]
    words += [f"seed {plan.seed}"] if has_seeds else []
    with ProgressView(" ".join(words)) as view:
        yield view.show


@asynccontextmanager
async def live_line(say: Callable[[float], str]) -> AsyncIterator[bool]:
    """Keep a line on a terminal up to date while the block runs, and wipe it then.

    Args:
        say: Returns the line, given the seconds since the block began.

    Yields:
        Whether standard error is a terminal; elsewhere nothing is shown.
    """
    console, started = Console(stderr=True), time.monotonic()
    if not console.is_terminal:
        yield False
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def draw() -> None:
            text = Text(clean(say(time.monotonic() - started)), no_wrap=True, overflow="ellipsis")
            live.update(text, refresh=True)

        async with every(_REDRAW_SECONDS, draw):
            yield True


def pace(tokens: int, seconds: float) -> str:
    """Return so many tokens in so many seconds, in words."""
    return f"{_brief(tokens)} tok, {tokens / max(seconds, 1e-9):,.0f} tok/s"


def describe(progress: Progress, *, is_short: bool) -> str:
    """Return accuracy so far, time left, tokens and KV use, in words; the last may be cut off."""
    parts: list[str] = []
    if progress.accuracy is not None and progress.interval is not None:
        low, high = progress.interval
        text = f"{progress.accuracy:.1%} [{low:.0%}, {high:.0%}]"
        parts.append(text if is_short else f"accuracy {text}")
    if progress.seconds_left is not None and progress.done < progress.total:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    parts.append(pace(progress.tokens, progress.seconds))
    if progress.kv_usage is not None:
        parts.append(f"KV {progress.kv_usage:.0%}")
    return " ".join(parts) if is_short else "".join(f", {part}" for part in parts)


def _brief(number: int) -> str:
    """Write a count in at most five characters: 9,999, 10.0k, 1.2M."""
    if number < 10_000:
        return f"{number:,}"
    return f"{number / 1e3:.1f}k" if number < 999_950 else f"{number / 1e6:.1f}M"
