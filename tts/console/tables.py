"""Figures of runs as tables."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from tts.console.output import add_row, new_table
from tts.evals.choices import ChosenRow
from tts.evals.metrics import Difference
from tts.evals.units import amount, why_unknown
from tts.types.figures import KVBytes, Summary, Unit

_NAMED = 10  # problems in a note
_WIDE = 120  # columns of a terminal that shows more


def summary_table(
    summaries: Sequence[Summary], unit: Unit | None = None, *, width: int = 0
) -> Table:
    """Return one row per run: accuracy with its 95 % interval, what it cost, seconds.

    Args:
        summaries: The runs. Their models and seeds have a column where they differ, and so has how
            far runs have come where one is not finished.
        unit: What a problem and a right answer cost in this unit; in place of it, the generated
            tokens of the whole run if None.
        width: Columns that there are; from 120 on there is room for the model, for pass@k with
            the largest k, and for what was wasted and what came from the cache.
    """
    is_wide = width >= _WIDE
    have_models = is_wide or len({summary.model for summary in summaries}) > 1
    are_finished = all(summary.is_finished for summary in summaries)
    costs = ("tokens", "reused") if unit is None else (f"{unit} a problem", "a right answer")
    numbers = (*(() if are_finished else ("done",)), "accuracy", "95 % interval", *costs, "seconds")
    numbers = (*numbers, *(("pass@k", "wasted", "cached") if is_wide else ()))
    have_seeds = len({summary.seed for summary in summaries}) > 1
    names = ("benchmark", "preset", *(("model",) if have_models else ()))
    names += ("seed",) if have_seeds else ()
    table = new_table(*names, *numbers, right=numbers)
    for summary in summaries:
        low, high = summary.interval
        add_row(
            table,
            summary.benchmark,
            summary.preset,
            *([summary.model_name] if have_models else []),
            *([str(summary.seed)] if have_seeds else []),
            *([] if are_finished else [f"{summary.done}/{summary.planned}"]),
            f"{summary.accuracy:.1%}",
            f"[{low:.1%}, {high:.1%}]",
            *_costs(summary, unit),
            "-" if summary.is_replay else f"{summary.seconds:,.1f}",
            *(_more(summary) if is_wide else ()),
        )
    return table


def _more(summary: Summary) -> tuple[str, str, str]:
    largest = max(summary.pass_at_k, default=None)
    passing = "-" if largest is None else f"@{largest} {summary.pass_at_k[largest]:.1%}"
    return passing, count(summary.tokens.wasted), count(summary.tokens.cached)


def names_of(summaries: Sequence[Summary]) -> list[str]:
    """Return benchmark and preset of each run, with model and seed where these differ."""
    have_models = len({summary.model for summary in summaries}) > 1
    have_seeds = len({summary.seed for summary in summaries}) > 1
    return [
        " ".join(
            (
                one.benchmark,
                one.preset,
                *([one.model_name] if have_models else []),
                *([f"seed {one.seed}"] if have_seeds else []),
            )
        )
        for one in summaries
    ]


def notes(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield what to mind about figures in a table."""
    for name, summary in zip(names_of(summaries), summaries, strict=True):
        if not summary.is_finished:
            yield (
                f"note: {name} is unfinished, {summary.done} of "
                f"{summary.planned}: easy problems finish first, so its accuracy is likely too high"
            )
        if summary.unanswered:
            shown = ", ".join(summary.unanswered[:_NAMED])
            more = len(summary.unanswered) - _NAMED
            yield (
                f"note: {name}: {len(summary.unanswered)} problems "
                f"lack samples that the server did not give: {shown}"
                f"{f' and {more} more' if more > 0 else ''}; the same command tries them again"
            )
        if summary.short:
            yield (
                f"note: {name}: {summary.short} of {summary.done} "
                "finished problems have fewer samples than were asked for: calls failed, or a "
                "pool had no more"
            )
        if summary.tokens.lost:
            yield (
                f"note: {name} was stopped with calls in flight; "
                f"they count as up to {summary.tokens.lost:,} tokens more in its run budget"
            )
    if any(summary.is_replay for summary in summaries):
        yield "note: recorded samples have no seconds; replaying them takes those of checking them"


def unknown_costs(summaries: Sequence[Summary], unit: Unit | None) -> Iterator[str]:
    """Yield which runs do not know their cost in a unit, and why that may be."""
    if unit is None:
        return
    for name, summary in zip(names_of(summaries), summaries, strict=True):
        if not summary.cost.of(unit):
            yield (f"note: {name}: its {unit} are not known: {why_unknown(unit)}")


def kv_read(kv_bytes: KVBytes) -> str:
    """Return what decoding read of the KV cache beside dense attention; "" where that is all."""
    read, dense = kv_bytes.read, kv_bytes.dense
    if read is None or not dense or read == dense:
        return ""
    return f"{read / 1e6:,.1f} MB where dense decode reads {dense / 1e6:,.1f} ({read / dense:.0%})"


def gain(difference: Difference) -> str:
    """Return a difference of shares with its interval."""
    mean, low, high = difference
    return f"{mean:+.1%} [{low:+.1%}, {high:+.1%}]"


def count(value: int | None) -> str:
    """Return a count with thousands separators; "?" when it is unknown."""
    return "?" if value is None else f"{value:,}"


def _costs(summary: Summary, unit: Unit | None) -> tuple[str, str]:
    if unit is not None:
        return amount(summary.cost.of(unit)), amount(summary.cost_of_pass.of(unit))
    generated = summary.tokens.generated
    spent = f"{summary.samples:,} samples" if generated is None else f"{generated:,}"
    return spent, count(summary.tokens.reused)


def chosen_table(rows: Sequence[ChosenRow]) -> Table:
    """Return what was chosen for which predicted difficulty, and what that bought."""
    numbers = ("problems", "one sample", "accuracy", "tokens each")
    table = new_table("first chance", "chosen", *numbers, right=numbers)
    before = -1
    for row in rows:
        add_row(
            table,
            "" if row.fifth == before else f"{row.fifth * 0.2:.1f} to {row.fifth * 0.2 + 0.2:.1f}",
            row.what,
            str(row.problems),
            "?" if row.first is None else f"{row.first:.1%}",
            "?" if row.accuracy is None else f"{row.accuracy:.1%}",
            "?" if row.tokens is None else f"{row.tokens:,.0f}",
        )
        before = row.fifth
    return table
