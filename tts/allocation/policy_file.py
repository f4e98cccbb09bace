"""Policies: what `tts calibrate` learned of a model on a kind of problems, as readable YAML.

A policy holds the belief of the allocator, the accuracy and cost that stopping at a price brought
on held-out halves, what other strategies did in each bin of predicted difficulty, and where all
that came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tts.allocation.evidence import AnswerModel
from tts.allocation.optimal_stopping import Leader, StoppingRule
from tts.allocation.pricing import PricedRule
from tts.allocation.support import Belief
from tts.errors import InputError
from tts.storage import bounded_yaml
from tts.storage.sealed_lines import write_text
from tts.types.figures import Counted

SCHEMA = 5
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
        cost: Of a problem, in the policy's unit, on average.
        accuracy: Share of right answers.
        low: Of its 95 % interval.
        high: The other end.
    """

    price: float = Field(ge=0)
    samples: float = Field(gt=0)
    cost: float = Field(gt=0)
    accuracy: _Chance
    low: _Chance
    high: _Chance


class BeliefPart(_Part):
    """What is believed of votes before any is seen (`tts.allocation.support.Belief`)."""

    right: float = Field(gt=0)
    wrong: float = Field(gt=0)
    spread: float = Field(gt=0)
    discount: float = Field(ge=0, lt=1)
    answers: float = Field(gt=0, le=1)

    def to_belief(self) -> Belief:
        """Return the belief."""
        return Belief(self.right, self.wrong, self.spread, self.discount, self.answers)


class LadderPoint(PricePoint):
    """What stopping at one price brought, and the rule that stops there.

    Attributes:
        weights: Of the rule, one row for each step but the last.
    """

    weights: tuple[tuple[float, ...], ...]


class BinPart(_Part):
    """What a choice did on problems of one bin of predicted difficulty.

    Attributes:
        accuracy: Share of right answers.
        low: Its lower bound, by which the choice is judged.
        cost: In mean samples.
    """

    accuracy: _Chance
    low: _Chance
    cost: float = Field(gt=0)


class ChoicePart(_Part):
    """A strategy to turn to, where the samples so far leave a chance at which it does better.

    Attributes:
        preset: Its name.
        strategy: What it runs.
        parameters: Its own: how many, how wide, how many in sequence, on which engine.
        bins: From the hardest problems to the easiest.
    """

    preset: str
    strategy: str
    parameters: dict[str, Any] = {}
    bins: tuple[BinPart, ...]


class LadderPart(_Part):
    """From one sample to many, and on to other strategies (`tts.operators.escalate`).

    Attributes:
        verifier: Whose scores were recorded; None if none were.
        sizes: Samples after each step.
        leader: What the answer that is given has most of (`tts.allocation.optimal_stopping`).
        answer: Weights of the answer model (`tts.allocation.evidence`).
        points: Rising in cost.
        edges: Chances of the best answer between the bins of predicted difficulty, rising.
        choices: Strategies that do better somewhere; none where no strategy that was tried does.
    """

    verifier: str | None = None
    sizes: tuple[int, ...]
    leader: Leader = "chance"
    answer: tuple[float, ...]
    points: tuple[LadderPoint, ...]
    edges: tuple[_Chance, ...] = ()
    choices: tuple[ChoicePart, ...] = ()

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
        if list(self.edges) != sorted(self.edges):
            raise ValueError("edges between bins rise")
        for choice in self.choices:
            if len(choice.bins) != len(self.edges) + 1:
                raise ValueError(
                    f"{choice.preset}: {len(self.edges) + 1} bins lie between the edges, "
                    f"got {len(choice.bins)}"
                )
        return self

    @property
    def rules(self) -> tuple[PricedRule, ...]:
        """What stops at each price, rising in cost."""
        return tuple(PricedRule(point.cost, point.price, point.weights) for point in self.points)

    @property
    def enough(self) -> PricedRule:
        """The cheapest rule within half a point of the best accuracy."""
        least = max(point.accuracy for point in self.points) - _HALF_A_POINT
        pairs = zip(self.points, self.rules, strict=True)
        return next(rule for point, rule in pairs if point.accuracy >= least)


class Policy(_Part):
    """A policy file.

    Attributes:
        schema_version: Of the file's form; `schema` in the file.
        model: That the samples were drawn from.
        unit: Of all costs.
        provenance: Benchmarks, splits, seeds, presets, versions.
        belief: Of the allocator.
        prices: Rising in price, and so falling in cost.
        ladder: Where a verifier's scores were recorded; then `auto` goes by it.
        notes: What to know before trusting it.
        problems: Hashes of the problems' statements, on which it is not to be measured.
    """

    schema_version: int = Field(SCHEMA, alias="schema")
    model: str = ""
    unit: Counted = "tokens"
    provenance: dict[str, Any] = {}
    belief: BeliefPart
    prices: tuple[PricePoint, ...] = ()
    ladder: LadderPart | None = None
    notes: tuple[str, ...] = ()
    problems: str = ""

    @property
    def costs(self) -> tuple[tuple[float, float], ...]:
        """Cost of a problem and price, at each price, rising in cost."""
        points = sorted(self.prices, key=lambda point: -point.price)
        return tuple((point.cost, point.price) for point in points)


@dataclass(frozen=True, slots=True)
class Default:
    """What `auto` does without a policy file: the prior belief, and a fixed price."""

    belief: Belief = field(default_factory=Belief)
    price: float = _DEFAULT_PRICE


def save_policy(policy: Policy, path: Path) -> None:
    """Write a policy file.

    Raises:
        StoreError: It cannot be written.
    """
    values = policy.model_dump(mode="json", by_alias=True, exclude_defaults=False)
    text = yaml.safe_dump(_rounded(values), sort_keys=False, width=100, allow_unicode=True)
    write_text(path, f"# Written by `tts calibrate`; read by `strategy: auto`.\n{text}")


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
        raise InputError(f"{path}: no policy; `tts calibrate ... --policy {path}` writes one")
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
