"""Budgets: hard limits, and how people write them."""

import math
import re
from dataclasses import dataclass, fields
from typing import Any

from tts.errors import BudgetError

_BUDGET_UNITS = {
    "tokens": "tokens",
    "sequential": "sequential",
    "flops": "flops",
    "eflops": "eflops",
    "s": "seconds",
    "usd": "usd",
    "calls": "calls",
}
_WHOLE = ("tokens", "sequential", "calls")
_BUDGET_PART = re.compile(
    r"(?P<usd>\$)?(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?P<scale>[kMG])?(?P<unit>[a-z]*)"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """Hard limits; None is no limit, and the tightest binds.

    Attributes:
        tokens: Generated tokens, cancelled ones included.
        flops: Predicted floating-point operations.
        seconds: Deadline from the start of the problem; overshoot at most one engine step.
        usd: Dollars.
        calls: Sequences asked for.
        eflops: Predicted operations and KV traffic, a byte as 562.5 operations (Kinetics,
            arXiv:2506.05333).
        sequential: Generated tokens one after the other: a call comes after all that had come when
            it was asked for, so no chain of dependent samples is longer. Of one problem only.
    """

    tokens: int | None = None
    flops: float | None = None
    seconds: float | None = None
    usd: float | None = None
    calls: int | None = None
    eflops: float | None = None
    sequential: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are not positive, or are without end."""
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and not 0 < value < math.inf:
                raise BudgetError(f"a budget's {f.name} must be positive and finite, got {value}")

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read a budget: "8k" (generated tokens), "30s", "2e15flops", "$0.05", "64calls".

        The units are tokens, s, flops, eflops, usd (or a $ before), calls and sequential. Several
        limits are joined by commas.

        Raises:
            BudgetError: The text is none of these, or names one limit twice.
        """
        limits: dict[str, Any] = {}
        for part in text.split(","):
            name, value = _parse_limit(part.strip(), text)
            if name in limits:
                raise BudgetError(f"budget {text!r} gives {name} twice")
            limits[name] = int(value) if name in _WHOLE else value
        return cls(**limits)

    def __str__(self) -> str:
        """Write the budget as `parse` reads it."""
        forms = {
            "tokens": "{:d}tokens",
            "flops": "{:g}flops",
            "seconds": "{:g}s",
            "calls": "{:d}calls",
            "eflops": "{:g}eflops",
            "sequential": "{:d}sequential",
        }
        parts = [form.format(v) for k, form in forms.items() if (v := getattr(self, k)) is not None]
        if self.usd is not None:
            parts.append(f"${self.usd:g}")
        return ",".join(parts) or "none"


def _parse_limit(part: str, whole: str) -> tuple[str, float]:
    match = _BUDGET_PART.fullmatch(part)
    unit = match["unit"] if match else ""
    if match is None or (match["usd"] and unit) or (unit and unit not in _BUDGET_UNITS):
        raise BudgetError(
            f"cannot read {part!r} in budget {whole!r}; "
            "write 8k (generated tokens), 30s, 2e15flops, 2e15eflops, $0.05, 64calls, 4ksequential "
            "(tokens one after the other), joined by commas"
        )
    value = float(match["number"]) * {"k": 1e3, "M": 1e6, "G": 1e9, None: 1.0}[match["scale"]]
    if not math.isfinite(value):
        raise BudgetError(f"{part!r} in budget {whole!r} is too large a number")
    return ("usd" if match["usd"] else _BUDGET_UNITS[unit or "tokens"]), value


def to_budget(budget: Budget | str | None, *, name: str = "budget") -> Budget | None:
    """Return a budget that may be given as text; None stays None.

    Args:
        budget: What the user passed.
        name: Of the argument, for the error.

    Raises:
        BudgetError: It is none of these, or its text cannot be read.
    """
    if budget is None or isinstance(budget, Budget):
        return budget
    if isinstance(budget, str):
        return Budget.parse(budget)
    raise BudgetError(
        f"{name}: expected text such as '8k' or '30s', or Budget(tokens=8000), got {budget!r} "
        f"({type(budget).__name__})"
    )
