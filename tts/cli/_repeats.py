"""What searches from several seeds have found, as it is printed."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from tts.console import output
from tts.evals.metrics import Difference
from tts.evals.units import amount
from tts.tuning.propose import Optimiser
from tts.tuning.repeats import Gain, Repeat, Worth, gain, worth
from tts.types.figures import Unit


def print_repeats(repeats: Mapping[Optimiser, Sequence[Repeat]], unit: Unit) -> None:
    """Print each optimiser's mean accuracy on the test problems, and who gains what over whom.

    Args:
        repeats: By optimiser, that which is asked about first.
        unit: In which costs are counted.
    """
    numbers = ("test", "95 % over seeds", f"{unit} a problem", "changed")
    table = output.new_table("choices of", *numbers, right=numbers)
    first, *others = repeats
    unchanged = [one.unchanged for one in repeats[first]]
    for name, found in repeats.items():
        changed = sum(one.found.best is not one.found.unchanged for one in found)
        _row(table, name, worth([one.choice for one in found], changed))
    _row(table, "no optimiser", worth(unchanged))
    output.print_table(table)
    output.print_text()
    seeds, problems = len(unchanged), len(unchanged[0].correct)
    spent = {name: sum(one.found.spent for one in found) for name, found in repeats.items()}
    for name, tokens in spent.items():
        output.print_text(f"tokens {name}: {tokens:,} in {seeds} searches")
    for name, found in repeats.items():
        _gain(f"{name} over the best preset", gain(unchanged, [one.choice for one in found]))
    chosen = [one.choice for one in repeats[first]]
    for name in others:
        _gain(f"{first} over {name}", gain([one.choice for one in repeats[name]], chosen))
    output.print_text(f"note   {seeds} seeds, the same {problems} test problems")
    for name, found in repeats.items():
        for number, one in enumerate(found, start=1):
            said = "; ".join([str(one.found.best.point), *one.found.notes])
            output.print_text(f"note   {name}, search {number}: {said}")


def _row(table: Table, name: str, found: Worth) -> None:
    low, high = found.interval
    output.add_row(
        table,
        name,
        f"{found.accuracy:.1%}",
        f"[{low:.1%}, {high:.1%}]",
        amount(found.cost),
        str(found.changed),
    )


def _gain(what: str, found: Gain) -> None:
    seeds, problems = _interval(found.by_seed), _interval(found.by_problem)
    mean = 100 * found.by_seed.mean
    output.print_text(
        f"gain   {what}: {mean:+.1f} points, {seeds} over seeds, {problems} over problems"
    )


def _interval(found: Difference) -> str:
    return f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
