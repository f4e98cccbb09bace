"""The figures of runs as one HTML page that needs nothing else."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tts.evals.plot import render_plot
from tts.storage.sealed_lines import cannot_write

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2.5rem auto; }
body { padding: 0 1rem; }
h1 { font-size: 1.4rem; font-weight: 600; }
figure { margin: 1.5rem 0; } img { max-width: 100%; background: #fff; border-radius: 6px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .35rem .7rem; text-align: right; white-space: nowrap; }
th, td { border-bottom: 1px solid #8884; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
p { color: #777; }
"""
_HEADS = (
    "benchmark", "preset", "model", "problems", "repeats", "accuracy", "95 % interval",
    "pass@k", "maj@k", "generated", "wasted", "cached", "seconds",
)  # fmt: skip


def save_page(summaries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write table and figure to a page.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(build_page(summaries), encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error


def build_page(summaries: Sequence[Mapping[str, Any]]) -> str:
    """Return the page."""
    picture = base64.b64encode(render_plot(summaries)).decode()
    heads = "".join(f"<th>{escape(head)}</th>" for head in _HEADS)
    rows = "".join(_row(summary) for summary in summaries)
    title = ", ".join(dict.fromkeys(str(summary["benchmark"]) for summary in summaries))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}: accuracy against tokens</h1>"
        f'<figure><img alt="accuracy against generated tokens per problem" '
        f'src="data:image/png;base64,{picture}"></figure>'
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        "</div><p>Intervals: Wilson for one repeat, bootstrap over problems for several. "
        "Tokens and seconds are of the whole run.</p></html>\n"
    )


def _row(summary: Mapping[str, Any]) -> str:
    low, high = summary["ci95"]
    tokens = summary["tokens"]
    cells = [
        summary["benchmark"],
        summary["preset"],
        summary["model"],
        summary["problems"],
        summary["repeats"],
        f"{summary['accuracy']:.1%}",
        f"{low:.1%} to {high:.1%}",
        _at_k(summary["pass_at_k"]),
        _at_k(summary["maj_at_k"]),
        *(_count(tokens[name]) for name in ("generated", "wasted", "cached")),
        f"{summary['seconds']:,.1f}",
    ]
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"


def _at_k(figures: Mapping[str, float]) -> str:
    """Return the smallest and the largest k; the figure holds the rest."""
    ends = dict.fromkeys([*list(figures)[:1], *list(figures)[-1:]])
    return ", ".join(f"@{k} {figures[k]:.1%}" for k in ends)


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"
