"""Which tier, an engine with a strategy, a problem is sent to before anything is sampled.

A router is fitted to problems on which every tier was tried. It estimates each tier's chance to be
right from features of the prompt, with a pooled embedding beside them where there is one, and takes

    argmax_j  chance_j - price * cost_j / max cost

Sources: Tryage (arXiv:2308.11601), whose lambda is our price; EllieSQL (arXiv:2503.22402), nearest
neighbours and classifiers among its routers; Composition of Experts (arXiv:2412.01868); Duo-LLM
(arXiv:2410.10846) for the oracle that picks with hindsight.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError
from tts.storage.sealed_lines import read_json, write_json
from tts.types.statement import statement_key

Kind = Literal["knn", "logistic"]
KINDS: tuple[Kind, ...] = ("knn", "logistic")
SCHEMA = 2
NEIGHBOURS = 5  # EllieSQL's
_RIDGE = 1.0
_STEPS = 50
_DIGITS = re.compile(r"\d+")
_Floats = NDArray[np.float64]


@runtime_checkable
class Chooser(Protocol):
    """Anything that sends a problem to a tier; `route_by` takes any."""

    @property
    def embedder(self) -> str:
        """Name of the run's engine that embeds prompts for it; empty for none."""
        ...

    def choose(self, statement: str, embedding: Sequence[float] = ()) -> int:
        """Return the place of the tier."""
        ...


@dataclass(frozen=True, slots=True)
class Tier:
    """Where a problem may be sent.

    Attributes:
        name: For people.
        strategy: Name of the strategy.
        parameters: Of the strategy.
        engine: Name of the run's engine that it asks; empty for the run's own.
        model: That it was measured with.
        cost: Of a problem, in the mean, in the router's unit.
    """

    name: str
    strategy: str = "single"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    engine: str = ""
    model: str = ""
    cost: float = 1.0


@dataclass(frozen=True, slots=True)
class Router:
    """A fitted router; see the module.

    Attributes:
        kind: "knn", the mean of the five nearest problems, or "logistic", a regression per tier.
        tiers: In order of cost, the cheapest first.
        unit: Of their costs.
        price: Chance to be right that the dearest tier's cost is worth.
        embedder: Name of the engine that embeds prompts; empty for features of the text alone.
        centre: Of each feature.
        scale: Its standard deviation.
        points: Of "knn": the features of each problem, [problems, features].
        right: Of "knn": the share of right answers, [problems, tiers].
        weights: Of "logistic": [tiers, features + 1], the constant last.
        problems: Hashes of what it was fitted to, so that nobody is tested on it.
    """

    kind: Kind
    tiers: tuple[Tier, ...]
    unit: str
    price: float
    embedder: str
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    points: tuple[tuple[float, ...], ...] = ()
    right: tuple[tuple[float, ...], ...] = ()
    weights: tuple[tuple[float, ...], ...] = ()
    problems: tuple[str, ...] = ()

    def chances(self, statement: str, embedding: Sequence[float] = ()) -> _Floats:
        """Return each tier's chance to be right.

        Raises:
            InputError: The embedding is missing, or of another size.
        """
        x = features_of(statement, embedding)
        if len(x) != len(self.centre):
            raise InputError(
                f"the router was fitted to {len(self.centre)} features and got {len(x)}: "
                f"{'give it the embedder it knew' if self.embedder else 'it takes no embedding'}"
            )
        x = (x - np.array(self.centre)) / np.array(self.scale)
        if self.kind == "logistic":
            return _logistic(np.append(x, 1.0) @ np.array(self.weights).T)
        away = np.square(np.array(self.points) - x).sum(axis=1)
        nearest = np.argsort(away, kind="stable")[:NEIGHBOURS]
        return np.asarray(np.array(self.right)[nearest].mean(axis=0))

    def choose(self, statement: str, embedding: Sequence[float] = ()) -> int:
        """Return the place of the tier of the best chance at its price; the cheaper of equals."""
        return best_tier(self.chances(statement, embedding), self.costs, self.price)

    @property
    def costs(self) -> list[float]:
        """Of the tiers."""
        return [tier.cost for tier in self.tiers]

    def knows(self, statement: str) -> bool:
        """Return whether it was fitted to a problem of this statement."""
        return statement_key(statement) in self.problems

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], source: str) -> Self:
        """Read what `to_json` returned.

        Raises:
            InputError: It is no router, or one of another version.
        """
        if values.get("schema") != SCHEMA:
            raise InputError(f"{source}: no router of this version; fit it with tts train-router")
        try:
            known = {f.name: values[f.name] for f in fields(cls)}
            rows = {name: tuple(map(tuple, known[name])) for name in ("points", "right", "weights")}
            flat = {name: tuple(known[name]) for name in ("centre", "scale", "problems")}
            tiers = tuple(Tier(**tier) for tier in known["tiers"])
            return cls(**{**known, **rows, **flat, "tiers": tiers})
        except (KeyError, TypeError) as error:
            raise InputError(f"{source}: a damaged router ({error}); fit it again") from error


def save_router(router: Router, path: Path) -> None:
    """Write a router.

    Raises:
        StoreError: It cannot be written.
    """
    write_json(path, router.to_json())


def load_router(path: Path) -> Router:
    """Read a router.

    Raises:
        InputError: There is none, or it is damaged.
        StoreError: The file cannot be read.
    """
    values = read_json(path)
    if values is None:
        raise InputError(f"{path}: no router here; make one with tts train-router")
    return Router.from_json(values, str(path))


def features_of(statement: str, embedding: Sequence[float] = ()) -> _Floats:
    """Return the features of a prompt, with its embedding of length 1 after them."""
    own = np.array(_text_features(statement))
    vector = np.asarray(embedding, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    return np.concatenate([own, vector / length if length else vector])


def _text_features(statement: str) -> list[float]:
    words, numbers = statement.split(), _DIGITS.findall(statement)
    number = max(1, len(words))
    return [
        math.log1p(len(statement)),
        float(len(numbers)),
        float(max(map(len, numbers), default=0)),
        float(statement.count("$") // 2 + statement.count("\\(")),
        float(np.log1p(len(words))),
        sum(map(len, words)) / number,
        len({word.lower() for word in words}) / number,
        float(statement.count("?")),
        float(statement.count("%") + statement.count("\\frac") + statement.count("/")),
        float(statement.count("\n")),
    ]


def best_tier(chances: _Floats, costs: Sequence[float], price: float) -> int:
    """Return the place of the largest chance less price times cost over the largest cost."""
    worth = chances - price * np.asarray(costs) / max(costs)
    return int(np.argmax(worth > worth.max() - 1e-12))


def fit_router(
    kind: Kind,
    tiers: Sequence[Tier],
    statements: Sequence[str],
    right: _Floats,
    *,
    unit: str,
    price: float,
    embedder: str = "",
    embeddings: Sequence[Sequence[float]] = (),
) -> Router:
    """Fit a router to problems on which every tier was tried.

    Args:
        kind: Of router.
        tiers: In order of cost.
        statements: Of the problems.
        right: [problems, tiers], shares of right answers.
        unit: Of the tiers' costs.
        price: Chance to be right that the dearest tier's cost is worth.
        embedder: Name of the engine that embeds prompts.
        embeddings: Of the problems; empty without an embedder.

    Raises:
        InputError: Fewer than two tiers, too few problems, or a price below 0.
    """
    if len(tiers) < 2:
        raise InputError("a router needs two tiers or more to choose from")
    if len(statements) < 2 * NEIGHBOURS:
        raise InputError(f"a router needs {2 * NEIGHBOURS} problems or more, not {len(statements)}")
    if price < 0:
        raise InputError(f"a price must not be negative, got {price:g}")
    vectors = embeddings or [()] * len(statements)
    table = np.array([features_of(*pair) for pair in zip(statements, vectors, strict=True)])
    centre, scale = table.mean(axis=0), table.std(axis=0)
    scale[scale < 1e-9] = 1.0
    x = (table - centre) / scale
    is_knn = kind == "knn"
    weights = [] if is_knn else [_fit_logistic(x, column) for column in right.T]
    return Router(
        kind=kind,
        tiers=tuple(tiers),
        unit=unit,
        price=price,
        embedder=embedder,
        centre=tuple(centre.tolist()),
        scale=tuple(scale.tolist()),
        points=tuple(tuple(row) for row in x.round(4).tolist()) if is_knn else (),
        right=tuple(tuple(row) for row in right.tolist()) if is_knn else (),
        weights=tuple(tuple(row.tolist()) for row in weights),
        problems=tuple(statement_key(statement) for statement in statements),
    )


def _fit_logistic(x: _Floats, y: _Floats) -> _Floats:
    """Return the weights of a regression, the constant last; a ridge holds all the others."""
    design = np.hstack([x, np.ones((len(x), 1))])
    ridge = np.diag([*[_RIDGE] * x.shape[1], 1e-6])
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = _logistic(design @ weights)
        slope = design.T @ (y - chance) - ridge @ weights
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + ridge
        step = np.linalg.solve(curve, slope)
        weights = weights + step * min(1.0, 4.0 / (np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _logistic(x: _Floats) -> _Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -30, 30))))


class Routed(NamedTuple):
    """What a way to choose brings.

    Attributes:
        accuracy: Mean over problems.
        cost: Of a problem, in the mean.
        best_picks: Share of problems that went to the cheapest tier that is right, or to the
            cheapest where none is.
        tep: Relative gain in accuracy over relative gain in cost, against the cheapest tier
            (EllieSQL); None where it costs the same.
        regret: Accuracy of the oracle less this one.
        excess: Cost over the oracle's.
    """

    accuracy: float
    cost: float
    best_picks: float
    tep: float | None
    regret: float
    excess: float


def oracle_choices(right: _Floats) -> NDArray[np.int64]:
    """Return the cheapest tier that is most often right, with hindsight; tiers by cost, rising."""
    return np.asarray((right >= right.max(axis=1, keepdims=True) - 1e-12).argmax(axis=1))


def routed(choices: Sequence[int], right: _Floats, costs: _Floats, own_cost: float = 0.0) -> Routed:
    """Return what choices bring.

    Args:
        choices: Tier of each problem.
        right: [problems, tiers], shares of right answers; tiers by cost, rising.
        costs: [problems, tiers].
        own_cost: Of choosing, a problem.
    """
    rows, chosen, best = np.arange(len(right)), np.asarray(choices), oracle_choices(right)
    accuracy, cost = float(right[rows, chosen].mean()), float(costs[rows, chosen].mean()) + own_cost
    base, base_cost = float(right[:, 0].mean()), float(costs[:, 0].mean())
    more = cost / base_cost - 1.0
    return Routed(
        accuracy=accuracy,
        cost=cost,
        best_picks=float((chosen == best).mean()),
        tep=(accuracy / base - 1.0) / more if base and abs(more) > 1e-9 else None,
        regret=float(right[rows, best].mean()) - accuracy,
        excess=cost / float(costs[rows, best].mean()),
    )
