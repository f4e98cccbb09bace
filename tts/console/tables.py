"""Figures as tables that fit 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from tts.console.output import add_row, new_table


def summary_table(summaries: Sequence[Mapping[str, Any]]) -> Table:
    """Return one row per run: accuracy with its 95 % interval, tokens, seconds."""
    numbers = ("accuracy", "95 % interval", "tokens", "reused", "seconds")
    table = new_table("benchmark", "preset", *numbers, right=numbers)
    for summary in summaries:
        low, high = summary["ci95"]
        add_row(
            table,
            summary["benchmark"],
            summary["preset"],
            f"{summary['accuracy']:.1%}",
            f"[{low:.1%}, {high:.1%}]",
            spent(summary),
            count(summary["tokens"]["reused"]),
            f"{summary['seconds']:,.1f}",
        )
    return table


def kv_read(summary: Mapping[str, Any]) -> str:
    """Return what decoding read of the KV cache beside dense attention; "" where that is all."""
    found = summary.get("kv_bytes", {})  # runs from before it was counted have none
    read, dense = found.get("read"), found.get("dense")
    if read is None or not dense or read == dense:
        return ""
    return f"{read / 1e6:,.1f} MB where dense decode reads {dense / 1e6:,.1f} ({read / dense:.0%})"


def spent(summary: Mapping[str, Any]) -> str:
    """Return the generated tokens of a run; its samples where tokens were not counted."""
    tokens = summary["tokens"]["generated"]
    return f"{summary['samples']:,} samples" if tokens is None else f"{tokens:,}"


def count(value: int | None) -> str:
    """Return a count with thousands separators; "?" when it is unknown."""
    return "?" if value is None else f"{value:,}"
