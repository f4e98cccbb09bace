"""Short cards of values, as a notebook shows them."""

import html
from collections.abc import Iterable

_LONG = 200  # characters of a text that a card shows


def shorten(text: str, limit: int = _LONG) -> str:
    """Return a text on one line, cut to `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def to_html(rows: Iterable[tuple[str, object]]) -> str:
    """Return a table of names and values; None is shown as a dash."""
    cells = (
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape('-' if value is None else str(value))}"
        "</td></tr>"
        for name, value in rows
    )
    return f"<table>{''.join(cells)}</table>"
