"""What tree searches hold, spend and get right: figures of one run, and of two side by side.

The KV figures are logical (`tts.search.events.Held`), of the live leaves at every
decision, before its pruning and after: blocks as the engine shares them, tokens as it would with
blocks of one token, and node tokens as the literature counts them (each tree node once, equal steps
apart). A problem's figure is the mean over its decisions, a run's the mean over its problems.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np

from tts.evals.metrics import Difference, paired_bootstrap
from tts.evals.report import accuracy_by_problem
from tts.evals.stored_run import load_run
from tts.types import SearchFigures

_SEED = 0
_NUM_RESAMPLES = 10_000


class Ratio(NamedTuple):
    """A ratio of means over the same problems, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one problem.

    Attributes:
        correct: 1 for a right answer, 0 for a wrong one or none.
        tokens: Generated, pruned branches and look-ahead included.
        scored_tokens: That reward models ran over; their cached prefixes are not in it.
        search: The figures of its search; None without a tree.
    """

    correct: float
    tokens: int
    scored_tokens: int
    search: SearchFigures | None


@dataclass(frozen=True, slots=True)
class TreeFigures:
    """What came of one run; figures of the tree are None where the method has none.

    Attributes:
        kv_blocks: KV blocks held.
        kv_blocks_peak: Most of one problem, mean over problems.
        kv_tokens: Distinct tokens held.
        kv_node_tokens: Tokens of the tree nodes held.
        kv_node_tokens_kept: The same after pruning.
        steps: Tree nodes of a problem.
        solution_tokens: Mean length of a finished solution.
        cached_share: Part of the reusable prompt tokens that the engine reused.
        scored_tokens: Tokens that reward models ran over, of a problem.
        reread_share: Part of them that belongs to prefixes read before, by the policy's tokens.
    """

    kv_blocks: float | None
    kv_blocks_peak: float | None
    kv_tokens: float | None
    kv_node_tokens: float | None
    kv_node_tokens_kept: float | None
    steps: float | None
    solution_tokens: float | None
    cached_share: float | None
    scored_tokens: float | None
    reread_share: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run against a base, over the problems that both finished.

    Attributes:
        problems: How many.
        kv_node_tokens: Base's tokens of tree nodes over the run's: how many times fewer it holds.
        kv_node_tokens_kept: The same after pruning.
        kv_tokens: The same for distinct tokens, before pruning.
        kv_blocks: The same for blocks, before pruning.
        accuracy: The run's accuracy less the base's.
        tokens: The run's generated tokens over the base's.
    """

    problems: int
    kv_node_tokens: Ratio | None
    kv_node_tokens_kept: Ratio | None
    kv_tokens: Ratio | None
    kv_blocks: Ratio | None
    accuracy: Difference
    tokens: Ratio


def load_outcomes(folder: Path) -> dict[str, Outcome]:
    """Return what came of each problem of a run in which each was solved once.

    Raises:
        StoreError: There is no run, or it is damaged.
    """
    run = load_run(folder)
    correct = accuracy_by_problem(run.records)
    return {
        record.id: Outcome(
            correct=correct[record.id],
            tokens=record.usage.generated_tokens or 0,
            scored_tokens=record.usage.scored_tokens or 0,
            search=next(iter(record.facts.searches[-1:]), None),
        )
        for record in run.records
    }


def search_figures(outcomes: Mapping[str, Outcome]) -> TreeFigures:
    """Return the figures of a run's searches."""
    found = [outcome.search for outcome in outcomes.values() if outcome.search is not None]
    scored = sum(outcome.scored_tokens for outcome in outcomes.values())
    read_once = sum(search.tree_tokens for search in found)
    return TreeFigures(
        kv_blocks=_mean(found, lambda s: s.mean_kv_blocks),
        kv_blocks_peak=_mean(found, lambda s: s.peak_kv_blocks),
        kv_tokens=_mean(found, lambda s: s.mean_kv_tokens),
        kv_node_tokens=_mean(found, lambda s: s.mean_kv_node_tokens),
        kv_node_tokens_kept=_mean(found, lambda s: s.mean_kv_node_tokens_kept),
        steps=_mean(found, lambda s: s.steps),
        solution_tokens=_mean([s for s in found if s.finished], lambda s: s.mean_solution_tokens),
        cached_share=_cached_share(found),
        scored_tokens=scored / len(outcomes) if scored else None,
        reread_share=max(0.0, 1 - read_once / scored) if scored and found else None,
    )


def compare_searches(base: Mapping[str, Outcome], run: Mapping[str, Outcome]) -> Comparison:
    """Set a run against a base on the problems that both finished.

    Intervals are paired bootstraps over problems, which removes the spread between problems.

    Raises:
        ValueError: They share no problem.
    """
    shared = [name for name in base if name in run]
    before, after = [base[name] for name in shared], [run[name] for name in shared]
    return Comparison(
        problems=len(shared),
        kv_node_tokens=_fewer(before, after, lambda s: s.mean_kv_node_tokens),
        kv_node_tokens_kept=_fewer(before, after, lambda s: s.mean_kv_node_tokens_kept),
        kv_tokens=_fewer(before, after, lambda s: s.mean_kv_tokens),
        kv_blocks=_fewer(before, after, lambda s: s.mean_kv_blocks),
        accuracy=paired_bootstrap(
            [o.correct for o in before], [o.correct for o in after], seed=_SEED
        ),
        tokens=paired_ratio([o.tokens for o in after], [o.tokens for o in before]),
    )


def paired_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """Return mean(numerator) / mean(denominator) with its bootstrap interval over pairs.

    Raises:
        ValueError: The lengths differ, there are no values, or the denominators sum to 0.
    """
    if len(numerator) != len(denominator) or not numerator:
        raise ValueError(f"{len(numerator)} and {len(denominator)} values cannot be paired")
    if sum(denominator) == 0:
        raise ValueError("the denominators sum to 0")
    rows = np.random.default_rng(_SEED).integers(
        len(numerator), size=(_NUM_RESAMPLES, len(numerator))
    )
    above, below = (np.asarray(side, dtype=float) for side in (numerator, denominator))
    sums = below[rows].sum(axis=1)
    resampled = above[rows].sum(axis=1)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Ratio(float(above.sum() / below.sum()), float(low), float(high))


def _fewer(
    before: Sequence[Outcome], after: Sequence[Outcome], held: Callable[[SearchFigures], float]
) -> Ratio | None:
    """Return how many times fewer are held; None where one side has no tree."""
    pairs = [
        (held(b.search), held(a.search))
        for b, a in zip(before, after, strict=True)
        if b.search is not None and a.search is not None
    ]
    if not any(kept for _, kept in pairs):
        return None
    return paired_ratio([kept for kept, _ in pairs], [kept for _, kept in pairs])


def _mean(
    searches: Sequence[SearchFigures], figure: Callable[[SearchFigures], float]
) -> float | None:
    return fmean(map(figure, searches)) if searches else None


def _cached_share(searches: Sequence[SearchFigures]) -> float | None:
    reusable = sum(search.reusable_tokens for search in searches)
    return sum(search.cached_tokens for search in searches) / reusable if reusable else None
