"""Votes in which samples of two runs take part, as many of each: texts beside programs, say."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from tts.answers.groups import AnswerChecker, Groups
from tts.errors import InputError
from tts.evals.compare import Curve, common_problems, records_by_problem, voting_curve
from tts.evals.metrics import Difference, bootstrap_interval, paired_bootstrap
from tts.evals.records import Record
from tts.evals.stored_run import StoredRun, read_statements
from tts.types import AnswerType
from tts.types.figures import Interval, Unit

_SEED = 0
_NUM_DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Mixed:
    """A vote of `each` samples of one run and as many of another.

    Attributes:
        each: Samples of either run.
        cost: Of all of them, on a problem.
        accuracy: Mean over problems and over choices of samples.
        interval: Its 95 % interval, by bootstrap over problems.
        over: The mixed vote less a vote over the first, and over the second, run's samples alone at
            this cost; None where such a vote is not known.
    """

    each: int
    cost: float
    accuracy: float
    interval: Interval
    over: tuple[Difference | None, Difference | None]


@dataclass(frozen=True, slots=True)
class Ballot:
    """Who votes on a problem.

    Attributes:
        pools: Of each run, how many samples are in each class of equal answers, which the runs
            share; None counts those without an answer.
        right: Classes that are right.
    """

    pools: Sequence[Counter[int | None]]
    right: frozenset[int]


def mixed_votes(first: StoredRun, second: StoredRun, unit: Unit) -> list[Mixed]:
    """Vote over 1 + 1, 2 + 2, 4 + 4, ... samples of two runs of the same problems.

    Args:
        first: A run with a fixed number of samples.
        second: Another of the same benchmark.
        unit: Of the costs.

    Raises:
        InputError: The runs share no problem, or the samples of one are no fair draw.
    """
    pair = common_problems(first, second)
    records = [records_by_problem(run) for run in pair]
    shared = list(records[0])
    if not shared:
        raise InputError(f"{first.folder} and {second.folder} share no finished problem")
    curves = [voting_curve(run, shared, unit) for run in pair]
    costs = [dict(zip(curve.sizes, curve.costs, strict=True)) for curve in curves]
    types = {line["problem"]: line["answer_type"] for line in read_statements(first.folder)}
    repeats = {name: list(zip(*(side[name] for side in records), strict=False)) for name in shared}
    ballots = asyncio.run(_ballots(repeats, types))
    found = []
    for each in sorted(costs[0].keys() & costs[1].keys()):
        shares = [
            fmean(mixed_vote(ballot, each, seed=_SEED + place) for ballot in of_problem)
            for place, of_problem in enumerate(ballots)
        ]
        cost = costs[0][each] + costs[1][each]
        one, other = (_over(curve, shares, cost) for curve in curves)
        interval = bootstrap_interval(shares, seed=_SEED)
        found.append(Mixed(each, cost, fmean(shares), interval, (one, other)))
    return found


def mixed_vote(ballot: Ballot, each: int, *, seed: int = _SEED) -> float:
    """Return the accuracy of a vote over `each` samples of every pool; ties share.

    Args:
        ballot: Of one problem.
        each: Drawn of every pool, without replacement; at most its samples.
        seed: Of the choices over which the mean is taken.
    """
    classes = sorted({key for pool in ballot.pools for key in pool if key is not None})
    if not classes:
        return 0.0
    rng = np.random.default_rng(seed)
    votes = np.zeros((_NUM_DRAWS, len(classes)), np.int64)
    for pool in ballot.pools:
        colours = [*(pool[key] for key in classes), pool[None]]
        drawn = rng.multivariate_hypergeometric(colours, each, _NUM_DRAWS, method="marginals")
        votes += drawn[:, :-1]
    leads = (votes == votes.max(axis=1, keepdims=True)) & (votes > 0)
    is_right = np.array([key in ballot.right for key in classes])
    shares = (leads & is_right).sum(axis=1) / np.maximum(leads.sum(axis=1), 1)
    return float(shares.mean())


async def _ballots(
    repeats: Mapping[str, Sequence[tuple[Record, ...]]], types: Mapping[str, AnswerType]
) -> list[list[Ballot]]:
    checker = AnswerChecker()
    try:
        return [
            [await _ballot(Groups(checker, types[name]), records) for records in of_problem]
            for name, of_problem in repeats.items()
        ]
    finally:
        checker.close()


async def _ballot(groups: Groups, records: Sequence[Record]) -> Ballot:
    """Give equal answers of both runs one class."""
    right: set[int] = set()
    pools = []
    for record in records:
        pool: Counter[int | None] = Counter()
        for sample in record.independent_samples:
            place = await groups.add(sample.answer)
            pool[place] += 1
            if sample.correct and place is not None:
                right.add(place)
        pools.append(pool)
    return Ballot(pools, frozenset(right))


def _over(curve: Curve, shares: Sequence[float], cost: float) -> Difference | None:
    alone = curve.at(cost)
    return None if alone is None else paired_bootstrap(alone, shares, seed=_SEED)
