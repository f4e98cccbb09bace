"""Policies: what `tts calibrate` learned of a model on a kind of problems, as readable YAML.

A policy holds the belief of the allocator, the accuracy and cost that stopping at a price brought
on held-out halves, and where all that came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tts.budget.allocator import Belief
from tts.errors import InputError

SCHEMA = 1
_DEFAULT_PRICE = 1e-3


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PricePoint(_Part):
    """What stopping at one price brought, cross-validated.

    Attributes:
        price: Least gain in accuracy for which one more sample is drawn.
        samples: Mean samples per problem.
        tokens: Mean generated tokens per problem; None where they were not counted.
        accuracy: Share of right votes.
        low: Of its 95 % interval.
        high: The other end.
    """

    price: float = Field(ge=0)
    samples: float = Field(gt=0)
    tokens: float | None = Field(None, gt=0)
    accuracy: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class CurvePoint(_Part):
    """Accuracy and cost of a preset on problems of one difficulty.

    Attributes:
        difficulty: "easy", "medium", "hard" (terciles of the expected success per sample), "all".
        samples: Mean samples per problem.
        tokens: Mean generated tokens per problem.
        accuracy: Share of right answers.
        low: Of its 95 % interval.
        high: The other end.
        problems: How many there were.
    """

    difficulty: str
    samples: float = Field(ge=0)
    tokens: float | None = Field(None, ge=0)
    accuracy: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    problems: int = Field(ge=1)


class BeliefPart(_Part):
    """The allocator's belief (`tts.budget.allocator.Belief`)."""

    concentration: float = Field(gt=0)
    shares: tuple[float, ...]
    trust: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.to_belief()
        return self

    def to_belief(self) -> Belief:
        """Return the belief; ValueError if it is none, so that a policy file says where."""
        try:
            return Belief(self.concentration, self.shares, self.trust)
        except InputError as error:
            raise ValueError(str(error)) from error


class Policy(_Part):
    """A policy file.

    Attributes:
        schema_version: Of the file's form; `schema` in the file.
        model: That the samples were drawn from.
        provenance: Benchmarks, splits, seeds, presets, versions.
        belief: Of the allocator.
        prices: Rising in price, and so falling in cost.
        curves: By preset.
        difficulty: A fitted difficulty model (`tts.budget.difficulty`); empty if none.
        notes: What to know before trusting it.
    """

    schema_version: int = Field(SCHEMA, alias="schema")
    model: str = ""
    provenance: dict[str, Any] = {}
    belief: BeliefPart
    prices: tuple[PricePoint, ...] = ()
    curves: dict[str, tuple[CurvePoint, ...]] = {}
    difficulty: dict[str, Any] = {}
    notes: tuple[str, ...] = ()

    @property
    def in_tokens(self) -> bool:
        """Whether its costs are generated tokens, and not samples."""
        return bool(self.prices) and all(point.tokens is not None for point in self.prices)

    def price_for(self, share: float) -> float:
        """Return the price at which a problem costs `share` on average.

        Args:
            share: Mean generated tokens per problem, or samples where tokens were not counted.

        Log-linear between the calibrated points; the cheapest or dearest of them beyond.
        """
        if not self.prices:
            return _DEFAULT_PRICE
        points = sorted(self.prices, key=lambda point: -point.price)
        costs = [(p.tokens if self.in_tokens else p.samples) or 0.0 for p in points]
        logs = [np.log(max(point.price, 1e-12)) for point in points]
        rising = np.maximum.accumulate(np.log(costs))
        return float(np.exp(np.interp(np.log(share), rising, logs)))


@dataclass(frozen=True, slots=True)
class Default:
    """What `auto` does without a policy file: the prior belief, and a fixed price."""

    belief: Belief = field(default_factory=Belief)
    price: float = _DEFAULT_PRICE


def save_policy(policy: Policy, path: Path) -> None:
    """Write a policy file.

    Raises:
        InputError: It cannot be written.
    """
    values = policy.model_dump(mode="json", by_alias=True, exclude_defaults=False)
    text = yaml.safe_dump(_rounded(values), sort_keys=False, width=100, allow_unicode=True)
    try:
        path.write_text(f"# Written by `tts calibrate`; read by `strategy: auto`.\n{text}", "utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        InputError: It cannot be read, is of another version, or is no policy.
    """
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as a policy: {error}") from error
    if not isinstance(values, dict) or "belief" not in values:
        raise InputError(f"{path}: no policy; `tts calibrate ... --out {path}` writes one")
    if values.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: a policy of version {values.get('schema')}, this tts reads {SCHEMA}; "
            "run `tts calibrate` again"
        )
    try:
        return Policy.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {key}: {first['msg']}") from error


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(part) for part in value]
    return value
