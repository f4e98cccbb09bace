"""What accuracy may be set against: tokens, time, operations or money, for one problem."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from tts.costs.flops import usage_eflops
from tts.errors import InputError
from tts.evals.records import Record
from tts.types.figures import COUNTED, UNITS, Cost, Counted, Unit

LABELS: Mapping[Unit, str] = {
    "tokens": "generated tokens per problem",
    "calls": "samples per problem",
    "seconds": "seconds to an answer, with other problems in flight",
    "flops": "FLOPs per problem",
    "eflops": "eFLOPs per problem",
    "usd": "dollars per problem",
    "sequential": "generated tokens one after the other, per problem",
    "joules": "joules per problem",
}
_UNKNOWN: Mapping[Unit, str] = {
    "tokens": "the engine did not count them",
    "calls": "they were not counted",
    "seconds": "recorded samples have none",
    "flops": "the engine does not say how large its model is; a pool's lines do, with shape, and "
    "how long prompts were, with prompt_tokens",
    "eflops": "the engine does not say its model's shape, which memory traffic needs; a pool's "
    "lines do, with shape, and how long prompts were, with prompt_tokens",
    "usd": "no price is known; say a server's with its options price_in and price_out",
    "sequential": "the engine did not count tokens",
    "joules": "no counter of this machine (RAPL, NVML) could be read, or a server ran the model",
}


def cost_of(record: Record, *, is_replay: bool) -> Cost:
    """Return what a problem cost.

    Args:
        record: What came of it.
        is_replay: Its samples were recorded earlier, so its seconds are not those of sampling.
    """
    usage = record.usage
    return Cost(
        tokens=usage.generated_tokens,
        calls=usage.calls,
        seconds=None if is_replay else record.seconds,
        flops=usage.flops or None,
        eflops=usage_eflops(usage) if usage.flops else None,
        usd=usage.usd or None,
        sequential=record.sequential_tokens,
    )


def mean_cost(costs: Iterable[Cost]) -> Cost:
    """Return the mean of each unit over problems; None where it is not known of one of them."""
    rows = list(costs)
    return Cost(**{unit: _mean([cost.of(unit) for cost in rows]) for unit in UNITS})


def choose_unit(costs: Sequence[Cost], *, models_differ: bool) -> Unit:
    """Return the unit in which runs stand side by side if none is asked for.

    eFLOPs where models differ, since a token of one costs more than one of another; generated
    tokens where they do not; samples where tokens were not counted.
    """
    order: tuple[Unit, ...] = ("eflops", "flops") if models_differ else ()
    known = [u for u in (*order, *_PLAIN) if all(cost.of(u) for cost in costs)]
    return known[0] if known else "calls"


def why_unknown(unit: Unit) -> str:
    """Return why a cost may not be known in a unit, and what to do where that helps."""
    return _UNKNOWN[unit]


def amount(value: float | None) -> str:
    """Return a cost in four digits or whole ones; "?" when it is unknown."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if 1_000 <= value < 1e7 else f"{value:.4g}"


def parse_unit(text: str) -> Unit:
    """Return the unit of a name.

    Raises:
        InputError: There is no such unit.
    """
    return _named(text, UNITS)


def parse_counted(text: str) -> Counted:
    """Return the unit of a name, of those that are known of a problem while it runs.

    Raises:
        InputError: There is no such unit.
    """
    return _named(text, COUNTED)


_Name = TypeVar("_Name", bound=str)


def _named(text: str, units: Sequence[_Name]) -> _Name:
    for unit in units:
        if unit == text:
            return unit
    raise InputError(f"there is no unit {text!r} here; there are {', '.join(units)}")


_PLAIN: tuple[Unit, ...] = ("tokens", "calls")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None
