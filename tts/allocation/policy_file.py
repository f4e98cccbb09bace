"""Policies: what `tts calibrate` learned of a model on a kind of problems, as readable YAML.

A policy holds the belief of the allocator, the accuracy and cost that stopping at a price brought
on held-out halves, and where all that came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tts.allocation.allocator import Belief
from tts.allocation.evidence import AnswerModel
from tts.allocation.optimal_stopping import StoppingRule
from tts.errors import InputError
from tts.storage import bounded_yaml

SCHEMA = 2
_DEFAULT_PRICE = 1e-3
_HALF_A_POINT = 0.005


_Chance = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PricePoint(_Part):
    """What stopping at one price brought, cross-validated.

    Attributes:
        price: Least gain in accuracy for which one more mean sample is drawn.
        samples: Mean samples per problem.
        tokens: Mean generated tokens per problem; None where they were not counted.
        accuracy: Share of right answers.
        low: Of its 95 % interval.
        high: The other end.
    """

    price: float = Field(ge=0)
    samples: float = Field(gt=0)
    tokens: float | None = Field(None, gt=0)
    accuracy: _Chance
    low: _Chance
    high: _Chance


class BeliefPart(_Part):
    """The allocator's belief (`tts.allocation.allocator.Belief`)."""

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


class LadderPoint(PricePoint):
    """What stopping at one price brought, and the rule that stops there.

    Attributes:
        weights: Of the rule, one row for each step but the last.
    """

    weights: tuple[tuple[float, ...], ...]


class DearerPart(_Part):
    """A dearer strategy, and how right it is where the samples leave a chance.

    Attributes:
        strategy: Its name.
        parameters: Its own.
        cost: In mean samples.
        chances: Rising; knots of `accuracy`.
        accuracy: Share of right answers of the strategy at these chances.
    """

    strategy: str
    parameters: dict[str, Any] = {}
    cost: float = Field(gt=0)
    chances: tuple[_Chance, ...]
    accuracy: tuple[_Chance, ...]


class LadderPart(_Part):
    """From one sample to many, and on to a dearer strategy (`tts.operators.escalate`).

    Attributes:
        verifier: Whose scores were recorded; None if none were.
        sizes: Samples after each step.
        answer: Weights of the answer model (`tts.allocation.evidence`).
        points: Rising in cost.
        dearer: None where no strategy that was tried gains anything.
    """

    verifier: str | None = None
    sizes: tuple[int, ...]
    answer: tuple[float, ...]
    points: tuple[LadderPoint, ...]
    dearer: DearerPart | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            AnswerModel(self.answer)
            for point in self.points:
                StoppingRule(self.sizes, point.weights)
        except InputError as error:
            raise ValueError(str(error)) from error
        if not self.points:
            raise ValueError("a ladder needs a point")
        return self

    @property
    def in_tokens(self) -> bool:
        """Whether its costs are generated tokens, and not samples."""
        return all(point.tokens is not None for point in self.points)

    def rule_for(self, share: float | None) -> tuple[StoppingRule, float]:
        """Return the stopping rule that costs `share` on average, and its price.

        Linear between the two points around it, in the logarithm of the cost; the cheapest or the
        dearest beyond. Without a share, the cheapest within half a point of the best accuracy.
        """
        if share is None:
            enough = max(point.accuracy for point in self.points) - _HALF_A_POINT
            point = next(point for point in self.points if point.accuracy >= enough)
            return StoppingRule(self.sizes, point.weights), point.price
        costs = [(p.tokens if self.in_tokens else p.samples) or 0.0 for p in self.points]
        rising = np.maximum.accumulate(np.log(costs))  # cross-validated, so not quite by itself
        place = float(np.interp(np.log(share), rising, np.arange(len(costs))))
        i = min(int(place), len(costs) - 1)
        j, part = min(i + 1, len(costs) - 1), place - int(place)
        low, high = np.asarray(self.points[i].weights), np.asarray(self.points[j].weights)
        rows = (1 - part) * low + part * high
        price = (1 - part) * self.points[i].price + part * self.points[j].price
        return StoppingRule(self.sizes, tuple(map(tuple, rows.tolist()))), price


class Policy(_Part):
    """A policy file.

    Attributes:
        schema_version: Of the file's form; `schema` in the file.
        model: That the samples were drawn from.
        provenance: Benchmarks, splits, seeds, presets, versions.
        belief: Of the allocator.
        prices: Rising in price, and so falling in cost.
        ladder: Where a verifier's scores were recorded; then `auto` goes by it.
        notes: What to know before trusting it.
    """

    schema_version: int = Field(SCHEMA, alias="schema")
    model: str = ""
    provenance: dict[str, Any] = {}
    belief: BeliefPart
    prices: tuple[PricePoint, ...] = ()
    ladder: LadderPart | None = None
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
        values = bounded_yaml.load(path.read_text("utf-8"))
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
