"""The figures of runs as one HTML page that needs nothing else."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from tts.evals.plot import render_plot
from tts.evals.units import LABELS, amount
from tts.storage.sealed_lines import cannot_write
from tts.types.figures import Summary, Unit

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2.5rem auto; padding: 0 1.5rem; }
body { max-width: 100rem; }
h1 { font-size: 1.4rem; font-weight: 600; }
figure { margin: 1.5rem 0; } img { max-width: 62rem; width: 100%; background: #fff; }
img { border-radius: 6px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .45rem; text-align: right; border-bottom: 1px solid #8884; }
td { white-space: nowrap; }
th { vertical-align: bottom; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
td:nth-child(3) { white-space: normal; overflow-wrap: anywhere; min-width: 7rem; }
td:nth-child(7), td:nth-child(8) { white-space: normal; min-width: 5.2rem; }
p { color: #777; max-width: 62rem; }
"""
_HEADS = (
    "benchmark", "preset", "model", "done", "accuracy", "95 %", "pass@k", "maj@k",
    "{unit} a problem", "{unit} a right answer", "generated", "wasted", "cached", "seconds",
)  # fmt: skip


def save_page(summaries: Sequence[Summary], path: Path, unit: Unit = "tokens") -> None:
    """Write table and figure to a page.

    Raises:
        InputError: No run's cost is known in this unit.
        StoreError: It cannot be written.
    """
    page = build_page(summaries, unit)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error


def build_page(summaries: Sequence[Summary], unit: Unit = "tokens") -> str:
    """Return the page, with costs in this unit.

    Raises:
        InputError: No run's cost is known in this unit.
    """
    picture = base64.b64encode(render_plot(summaries, unit)).decode()
    heads = "".join(f"<th>{escape(head.format(unit=unit))}</th>" for head in _HEADS)
    rows = "".join(_row(summary, unit) for summary in summaries)
    title = ", ".join(dict.fromkeys(summary.benchmark for summary in summaries))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}: accuracy against cost</h1>"
        f'<figure><img alt="accuracy against {LABELS[unit]}" '
        f'src="data:image/png;base64,{picture}"></figure>'
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        f"</div><p>{' '.join(_remarks(summaries))}</p></html>\n"
    )


def _remarks(summaries: Sequence[Summary]) -> list[str]:
    remarks = [
        "Intervals: Wilson for one repeat, bootstrap over problems for several.",
        "Tokens (generated, wasted, cached) and seconds are of the whole run.",
    ]
    if any(summary.is_replay for summary in summaries):
        remarks.append("Recorded samples have no seconds.")
    if not all(summary.is_finished for summary in summaries):
        remarks.append(
            "Runs that are not done: easy problems finish first, so their accuracy is likely too "
            "high."
        )
    return remarks


def _row(summary: Summary, unit: Unit) -> str:
    low, high = summary.interval
    tokens = summary.tokens
    cells = (
        summary.benchmark,
        summary.preset,
        summary.model,
        f"{summary.done:,} of {summary.planned:,}",
        f"{summary.accuracy:.1%}",
        f"{100 * low:.1f} to {100 * high:.1f}",
        _at_k(summary.pass_at_k),
        _at_k(summary.maj_at_k),
        amount(summary.cost.of(unit)),
        amount(summary.cost_of_pass.of(unit)),
        *(_count(value) for value in (tokens.generated, tokens.wasted, tokens.cached)),
        "" if summary.is_replay else f"{summary.seconds:,.1f}",
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _at_k(figures: Mapping[int, float]) -> str:
    """Return the smallest and the largest k; the figure holds the rest."""
    ends = dict.fromkeys([*list(figures)[:1], *list(figures)[-1:]])
    return ", ".join(f"@{k}\N{NO-BREAK SPACE}{figures[k]:.1%}" for k in ends)


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"
