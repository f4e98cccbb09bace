"""Fitting a router to runs, and what it brings on problems that it was not fitted to."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.allocation.router import (
    Kind,
    Routed,
    Router,
    Tier,
    best_tier,
    fit_router,
    oracle_choices,
    routed,
)
from tts.errors import InputError
from tts.evals.independent_samples import answer_classes
from tts.evals.metrics import Difference, paired_bootstrap
from tts.evals.records import Record
from tts.evals.stored_run import StoredRun, read_statements
from tts.evals.units import cost_of, why_unknown
from tts.types.figures import Unit, is_replay
from tts.types.statement import statement_key
from tts.voting.stopping import leader_probability

PRICES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_FOLDS = 5
_AGREES = 0.9  # as `strategies/cascade.py`
_NEAR = 0.01  # the cheapest price within a point of the best accuracy is taken
_SEED = 0
_NUM_RESAMPLES = 1_000
_Floats = NDArray[np.float64]


class Tried(NamedTuple):
    """Problems on which every tier was tried.

    Attributes:
        tiers: The cheapest first.
        statements: Of the problems.
        right: [problems, tiers], shares of right answers.
        costs: [problems, tiers].
        support: [problems, tiers], chance of the leader of a vote over each tier's samples; 0 where
            there are fewer than two.
    """

    tiers: tuple[Tier, ...]
    statements: tuple[str, ...]
    right: _Floats
    costs: _Floats
    support: _Floats


@dataclass(frozen=True, slots=True)
class Way:
    """A way to choose, on problems that it was not fitted to.

    Attributes:
        name: For people: "always small", "oracle", "router at 0.1", "cascade by agreement".
        figures: What it brings.
        price: Of a router.
    """

    name: str
    figures: Routed
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A router and what it brings.

    Attributes:
        router: Fitted to all problems.
        ways: Every tier always, the router at each price, a cascade by agreement where tiers have
            several samples, and the oracle; in five folds, or on problems kept for testing.
        gain: Accuracy of the router at its price less that of a mixture of tiers, chosen blindly,
            that costs the same, with the interval of a bootstrap over problems; None where no
            mixture does.
        over_tiers: Accuracy of the router at its price less that of each tier, in their order.
        seconds: Of one choice, features included, an embedding left out.
    """

    router: Router
    ways: tuple[Way, ...]
    gain: Difference | None
    over_tiers: tuple[Difference, ...]
    seconds: float


def tried_in(runs: Mapping[str, Sequence[StoredRun]], unit: Unit) -> Tried:
    """Return the problems that all runs finished, each run a tier.

    Args:
        runs: By the name of the engine that the tier asks; empty for the run's own.
        unit: Of costs.

    Raises:
        InputError: Fewer than two runs, presets that are no strategy with parameters, no problem in
            common, or costs that are not known.
    """
    flat = [(engine, run) for engine, several in runs.items() for run in several]
    if len(flat) < 2:
        raise InputError("a router needs two runs or more, one for each tier")
    tables = [_by_statement(run, unit) for _, run in flat]
    shared = [text for text in tables[0] if all(text in table for table in tables)]
    if not shared:
        raise InputError("the runs share no finished problem")
    known = np.array([[table[text] for table in tables] for text in shared])
    tiers = [_tier(engine, run) for engine, run in flat]
    if len({tier.name for tier in tiers}) < len(tiers):
        tiers = [
            replace(tier, name=f"{tier.name} {place}") for place, tier in enumerate(tiers, start=1)
        ]
    return _in_order(tiers, shared, *np.moveaxis(known, -1, 0))


def tried_by(
    results: Mapping[str, Mapping[str, float]],
    costs: Mapping[str, float],
    statements: Mapping[str, str],
) -> Tried:
    """Return the problems on which all models were tried, with a cost for each model.

    Args:
        results: By model, the share of right answers by problem.
        costs: By model.
        statements: By problem.

    Raises:
        InputError: A model has no results, or no problem has results of all and a statement.
    """
    for name in costs:
        if name not in results:
            raise InputError(
                f"--cost {name}: there is no such model; there are {', '.join(results)}"
            )
    names = list(costs)
    shared = [
        key for key in results[names[0]]
        if key in statements and all(key in results[name] for name in names)
    ]  # fmt: skip
    if not shared:
        raise InputError("no problem has results of all models, and a statement")
    right = np.array([[results[name][key] for name in names] for key in shared])
    spent = np.tile([float(costs[name]) for name in names], (len(shared), 1))
    tiers = [Tier(name, engine=name, model=name) for name in names]
    unknown = np.zeros_like(right)
    return _in_order(tiers, [statements[key] for key in shared], right, spent, unknown)


def _in_order(
    tiers: Sequence[Tier],
    statements: Sequence[str],
    right: _Floats,
    costs: _Floats,
    support: _Floats,
) -> Tried:
    """Return what was tried with the tiers in order of their mean cost, which they are told."""
    means = costs.mean(axis=0)
    order = np.argsort(means, kind="stable")
    ordered = tuple(replace(tiers[place], cost=float(means[place])) for place in order)
    columns = (table[:, order] for table in (right, costs, support))
    return Tried(ordered, tuple(statements), *columns)


def _tier(engine: str, run: StoredRun) -> Tier:
    values = run.config["preset_values"]
    if "strategy" not in values:
        raise InputError(
            f"{run.folder}: the preset {run.config['preset']} is a pipeline of its own; tiers are "
            "strategies with parameters"
        )
    model = str(run.config["model"])
    name = f"{engine or 'own'} {run.config['preset']}"
    return Tier(name, values["strategy"], values.get("parameters") or {}, engine, model)


def _by_statement(run: StoredRun, unit: Unit) -> dict[str, tuple[float, ...]]:
    """Return how right each problem was, what it cost, and how sure its vote was."""
    statements = {line["problem"]: line["statement"] for line in read_statements(run.folder)}
    replayed = is_replay(run.config["engine"])
    groups: dict[str, list[tuple[float, ...]]] = {}
    for record in run.records:
        cost = cost_of(record, is_replay=replayed).of(unit)
        if cost is None:
            raise InputError(f"{run.folder}: its {unit} are not known: {why_unknown(unit)}")
        known = (float(record.correct is True), cost, _support(record))
        groups.setdefault(statements[record.id], []).append(known)
    return {text: tuple(map(fmean, zip(*each, strict=True))) for text, each in groups.items()}


def _support(record: Record) -> float:
    """Return the chance that the leader of a vote over the samples is the likelier of two."""
    votes = Counter(index for index in answer_classes(record) if index is not None)
    if votes.total() < 2:
        return 0.0
    return leader_probability([number for _, number in votes.most_common()])


def train_router(
    tried: Tried,
    *,
    kind: Kind,
    unit: str,
    price: float | None = None,
    embedder: str = "",
    embeddings: Sequence[Sequence[float]] = (),
    own_cost: float = 0.0,
    test: Tried | None = None,
    test_embeddings: Sequence[Sequence[float]] = (),
) -> Trained:
    """Fit a router, and say in five folds what it brings, or on problems kept for testing.

    Args:
        tried: On what.
        kind: Of router.
        unit: Of costs.
        price: Chance to be right that the dearest tier's cost is worth; None takes, of those tried,
            the dearest price that is within a point of the best accuracy over the folds.
        embedder: Name of the engine that embeds prompts; empty for none.
        embeddings: Of the problems.
        own_cost: What choosing costs, a problem.
        test: Problems on which the same tiers were tried, to measure it on; None for the folds.
        test_embeddings: Of these problems.

    Raises:
        InputError: As of `fit_router`, or the tiers of the test are others, or problems of it are
            among those to fit to.
    """
    vectors = list(embeddings) or [()] * len(tried.statements)
    measured = tried if test is None else _like(tried, test)

    def fit(rows: Sequence[int]) -> Router:
        return fit_router(
            kind,
            tried.tiers,
            [tried.statements[row] for row in rows],
            tried.right[list(rows)],
            unit=unit,
            price=0.0,
            embedder=embedder,
            embeddings=[vectors[row] for row in rows] if embedder else (),
        )

    every = range(len(tried.statements))
    whole = fit(every)  # refuses what cannot be fitted
    chances = np.zeros_like(tried.right)
    folds = np.random.default_rng(_SEED).permutation(len(every)) % _FOLDS
    for fold in range(_FOLDS):
        router = fit([row for row in every if folds[row] != fold])
        for row in np.flatnonzero(folds == fold):
            chances[row] = router.chances(tried.statements[row], vectors[row])
    costs = [tier.cost for tier in tried.tiers]
    asked = sorted({*PRICES, *([] if price is None else [price])})
    if price is None:
        price = _best_price([_at(chances, costs, one, tried, own_cost) for one in asked])
    if test is not None:
        known = list(test_embeddings) or [()] * len(measured.statements)
        pairs = zip(measured.statements, known, strict=True)
        chances = np.array([whole.chances(*pair) for pair in pairs])
    found = [_at(chances, costs, one, measured, own_cost) for one in asked]
    right, rows = measured.right, range(len(measured.statements))
    always = [
        Way(f"always {tier.name}", routed([place] * len(rows), right, measured.costs))
        for place, tier in enumerate(measured.tiers)
    ]
    oracle = Way("oracle", routed(oracle_choices(right).tolist(), right, measured.costs))
    choices = [best_tier(row, costs, price) for row in chances]
    reached = right[rows, choices].tolist()
    started = time.perf_counter()
    for statement, vector in zip(tried.statements[:100], vectors, strict=False):
        whole.choose(statement, vector)
    seconds = (time.perf_counter() - started) / min(100, len(every))
    ways = (*always, *found, *_cascade(measured), oracle)
    over_tiers = tuple(paired_bootstrap(column.tolist(), reached, seed=_SEED) for column in right.T)
    gain = _gain(choices, measured, own_cost)
    return Trained(replace(whole, price=price), ways, gain, over_tiers, seconds)


def _like(tried: Tried, test: Tried) -> Tried:
    """Return a test's problems with the tiers in the order of those that were tried before.

    Raises:
        InputError: The tiers are others, or problems are the same.
    """
    fitted = set(map(statement_key, tried.statements))
    if seen := sum(statement_key(statement) in fitted for statement in test.statements):
        raise InputError(
            f"{seen:,} of the {len(test.statements):,} problems of --test are among those that the "
            "router is fitted to; give runs on other problems"
        )
    keys = [[_key(tier) for tier in one.tiers] for one in (tried, test)]
    if sorted(keys[0]) != sorted(keys[1]):
        names = ", ".join(tier.name for tier in test.tiers)
        raise InputError(
            f"the runs of --test are of other tiers ({names}) than those that the router is fitted "
            "to: same engines' names, models, strategies and parameters"
        )
    order = [keys[1].index(key) for key in keys[0]]
    columns = (table[:, order] for table in (test.right, test.costs, test.support))
    return Tried(tried.tiers, test.statements, *columns)


def _key(tier: Tier) -> str:
    return repr((tier.engine, tier.model, tier.strategy, sorted(tier.parameters.items())))


def _best_price(found: Sequence[Way]) -> float:
    """Return the price of the cheapest router within a point of the best accuracy."""
    best = max(way.figures.accuracy for way in found)
    near = [way for way in found if way.figures.accuracy >= best - _NEAR]
    return min(near, key=lambda way: way.figures.cost).price or 0.0


def _gain(choices: Sequence[int], tried: Tried, own_cost: float) -> Difference | None:
    """Return what choices gain over a blind mixture of tiers at the same cost."""
    chosen, number = np.asarray(choices), len(choices)

    def over(rows: NDArray[np.int64]) -> float | None:
        right, costs = tried.right[rows], tried.costs[rows]
        always = [routed([place] * number, right, costs) for place in range(right.shape[1])]
        return _over_mixture(routed(chosen[rows].tolist(), right, costs, own_cost), always)

    gain = over(np.arange(number))
    if gain is None:
        return None
    drawn = np.random.default_rng(_SEED).integers(number, size=(_NUM_RESAMPLES, number))
    known = [value for rows in drawn if (value := over(rows)) is not None]
    low, high = np.quantile(known, [0.025, 0.975])
    return Difference(gain, float(low), float(high))


def _cascade(tried: Tried) -> Iterator[Way]:
    """Yield what the tiers one after the other bring, each only where those before disagree.

    The rule of the preset `cascade`, with all that the tiers before have cost.
    """
    if tried.support.any():
        agrees = tried.support >= _AGREES
        agrees[:, -1] = True
        choices = agrees.argmax(axis=1)
        before = np.cumsum(tried.costs, axis=1) - tried.costs
        own_cost = float(before[np.arange(len(choices)), choices].mean())
        figures = routed(choices.tolist(), tried.right, tried.costs, own_cost)
        yield Way("cascade by agreement", figures)


def _at(
    chances: _Floats, costs: Sequence[float], price: float, tried: Tried, own_cost: float
) -> Way:
    choices = [best_tier(row, costs, price) for row in chances]
    figures = routed(choices, tried.right, tried.costs, own_cost)
    return Way(f"router at price {price:g}", figures, price)


def _over_mixture(found: Routed, always: Sequence[Routed]) -> float | None:
    """Return the gain over sending shares of the problems to tiers blindly, at the same cost."""
    hull: list[Routed] = []
    for point in sorted(always, key=lambda way: (way.cost, -way.accuracy)):
        if hull and point.accuracy <= hull[-1].accuracy:
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-2], point):
            hull.pop()
        hull.append(point)
    if found.cost >= hull[-1].cost:
        return found.accuracy - hull[-1].accuracy
    for low, high in pairwise(hull):
        if low.cost <= found.cost <= high.cost:
            return found.accuracy - low.accuracy - (found.cost - low.cost) * _slope(low, high)
    return None


def _slope(low: Routed, high: Routed) -> float:
    return (high.accuracy - low.accuracy) / (high.cost - low.cost)
