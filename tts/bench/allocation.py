"""Run-level allocation against uniform voting, on recorded samples of real models."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.bench.allocation_figures import IN_FLIGHT, PoolFigures, Ratio, compare_allocation
from tts.console import flags, output
from tts.engine.pools import Pool, load_series
from tts.errors import InputError

_MIN_WRONG_RECORDED = 0.9
_LEAST_GAIN = 0.02  # of voting over one sample, for the second pair of medians


@dataclass(frozen=True, slots=True)
class _Left:
    """A series that is not measured, and why."""

    pool: str
    series: str
    reason: str


@dataclass(frozen=True, slots=True)
class _How:
    """Of measuring: the options that every series shares."""

    orders: int
    in_flight: float
    seed: int


def allocation(
    pools: flags.PoolsArgument,
    least: Annotated[
        int,
        typer.Option(
            "--least", min=2, help="Leave series out that have fewer samples per problem."
        ),
    ] = 16,
    orders: Annotated[
        int,
        typer.Option("--orders", min=1, help="Random orders of drawing that are averaged over."),
    ] = 20,
    in_flight: Annotated[
        float,
        typer.Option(
            "--in-flight",
            min=0.001,
            max=1.0,
            help="Samples that are drawn at a time, over the number of problems.",
        ),
    ] = IN_FLIGHT,
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the orders, the halves and the intervals.")
    ] = 0,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure how many samples allocation needs for the accuracy of uniform voting.

    The allocator's belief is fitted on half of a pool's problems and spends on the other half, both
    ways round. Uniform voting stands at its plateau (the smallest size within half a point of all
    samples) and at all samples. A ratio below 1 is a saving; "never" is a loss. "bound" is
    the ratio of an allocator that knows beforehand how right each vote will be at every size.

    Example: tts bench allocation pools/ --orders 20
    """
    how = _How(orders, in_flight, seed)
    figures, left = _measure(_files(pools), least, how)
    if not figures:
        raise InputError(f"no series has {least} samples of each problem: {_reasons(left)}")
    if as_json:
        output.print_json(_to_json(figures, left, how))
        return
    output.print_table(_table(figures))
    output.print_text()
    output.print_text("stopping a vote of 16 early, without anything known of the model:")
    output.print_table(_stops(figures))
    for line in _medians(figures):
        output.print_text(line)
    for entry in left:
        output.print_text(f"left out: {entry.pool} {entry.series}: {entry.reason}")
    options = (
        "--least",
        least,
        "--orders",
        orders,
        "--in-flight",
        f"{in_flight:g}",
        "--seed",
        seed,
    )
    output.print_again("tts", "bench", "allocation", *pools, *options)


def _files(pools: Iterable[Path]) -> list[Path]:
    files = []
    for path in pools:
        files += sorted(path.glob("*.jsonl*")) if path.is_dir() else [path]
    return files


def _measure(
    files: Iterable[Path], least: int, how: _How
) -> tuple[list[tuple[str, PoolFigures]], list[_Left]]:
    figures: list[tuple[str, PoolFigures]] = []
    left: list[_Left] = []
    for file in files:
        name = file.name.partition(".")[0]
        for series, pool in load_series(file).items():
            if reason := _unfit(pool, least):
                left.append(_Left(name, series, reason))
                continue
            output.print_note(f"{name} {series}")
            found = compare_allocation(
                pool, seed=how.seed, num_orders=how.orders, in_flight=how.in_flight
            )
            figures.append((name, found))
    return figures, left


def _unfit(pool: Pool, least: int) -> str:
    """Return why a series does not belong here; empty if it does."""
    fewest = min(len(p.samples) for p in pool.problems)
    if fewest < least:
        return f"{fewest} samples of a problem"
    if pool.is_mixed:
        return "samples of several models"
    if len(pool.problems) < 20:
        return f"{len(pool.problems)} problems"
    recorded = [p.problem.metadata.get("wrong_answers_recorded", 1.0) for p in pool.problems]
    if min(recorded) < _MIN_WRONG_RECORDED:
        return "too few of the wrong answers are recorded"
    return ""


def _reasons(left: Sequence[_Left]) -> str:
    return "; ".join(f"{entry.series}: {entry.reason}" for entry in left[:3])


def _table(figures: Sequence[tuple[str, PoolFigures]]) -> Table:
    numbers = ("n", "accuracy", "needs", "ratio", "95 % interval", "bound")
    table = output.new_table("pool", "uniform", *numbers, right=numbers)
    for name, figure in figures:
        for which, ratio in (("plateau", figure.plateau), ("all", figure.whole)):
            shown = f"{name[:24]} {figure.series[-12:]}" if which == "plateau" else ""
            output.add_row(
                table,
                shown,
                which,
                str(ratio.num_uniform),
                f"{ratio.accuracy:.1%}",
                "never" if ratio.num_allocated is None else f"{ratio.num_allocated:.1f}",
                "-" if ratio.value is None else f"{ratio.value:.2f}",
                f"[{ratio.low:.2f}, {ratio.high:.2f}]",
                f"{ratio.num_informed / ratio.num_uniform:.2f}",
            )
    return table


def _stops(figures: Sequence[tuple[str, PoolFigures]]) -> Table:
    presets = list(figures[0][1].stops)
    whats = ("accuracy", "samples")
    numbers = tuple(f"{preset} {what}" for preset in presets for what in whats)
    table = output.new_table("pool", *numbers, right=numbers)
    for name, figure in figures:
        cells = [
            cell
            for stop in figure.stops.values()
            for cell in (f"{stop.accuracy:.1%}", f"{stop.samples:.2f}")
        ]
        output.add_row(table, f"{name[:24]} {figure.series[-12:]}", *cells)
    return table


def _medians(figures: Sequence[tuple[str, PoolFigures]]) -> list[str]:
    """Return the medians over all series, and over those in which voting gains anything to share.

    Where voting over all samples is hardly better than one sample, its plateau is one sample, and
    no allocation can do with fewer. The rule looks at uniform voting alone.
    """
    helped = [(name, f) for name, f in figures if f.voting_gains >= _LEAST_GAIN]
    lines = [f"median ratio, {_describe(figures, which)}" for which in ("plateau", "whole")]
    if helped and len(helped) < len(figures):
        lines.append(f"where voting gains {_LEAST_GAIN * 100:g} points on one sample or more:")
        lines += [f"median ratio, {_describe(helped, which)}" for which in ("plateau", "whole")]
    return lines


def _describe(figures: Sequence[tuple[str, PoolFigures]], which: str) -> str:
    by_file: dict[str, list[float]] = {}
    for name, figure in figures:
        by_file.setdefault(name, []).append(_value(getattr(figure, which)))
    series = [value for values in by_file.values() for value in values]
    num_better = sum(value < 1 for value in series)
    of_files = median(median(values) for values in by_file.values())
    return (
        f"{'plateau' if which == 'plateau' else 'all samples'}: {median(series):.2f} over "
        f"{len(series)} series ({num_better} below 1), {of_files:.2f} over {len(by_file)} files"
    )


def _value(ratio: Ratio) -> float:
    return float("inf") if ratio.value is None else ratio.value


def _to_json(
    figures: Sequence[tuple[str, PoolFigures]], left: Sequence[_Left], how: _How
) -> dict[str, Any]:
    return {
        "schema": 1,
        **asdict(how),
        "pools": [
            {
                "pool": name,
                "series": figure.series,
                "problems": figure.num_problems,
                "samples": figure.num_samples,
                "single": figure.single,
                "plateau": figure.plateau._asdict(),
                "whole": figure.whole._asdict(),
                "stops": {name: stop._asdict() for name, stop in figure.stops.items()},
            }
            for name, figure in figures
        ],
        "medians": _medians(figures),
        "left_out": [asdict(entry) for entry in left],
    }
