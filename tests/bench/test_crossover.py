"""One trace against many samples: curves and where they cross, worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from tts.bench.crossover import figures_of
from tts.bench.crossover_figures import (
    Curve,
    Measured,
    crossing,
    points,
    runs_curve,
    samples_curve,
    trace_curve,
)
from tts.bench.crossover_plot import save_crossover
from tts.evals.laws.series import Series
from tts.evals.records import Record, Sample
from tts.types import Usage


def record(name: str, *samples: tuple[int, bool]) -> Record:
    """Samples of so many tokens, right or wrong."""
    drawn = tuple(Sample("1" if ok else "2", 0 if ok else 1, ok, n) for n, ok in samples)
    return Record(name, 0, None, None, Usage(), None, "", drawn, is_cut=False)


def whole(name: str, tokens: int, *, right: bool) -> Record:
    """A problem that took so many tokens in all, and was solved or not."""
    usage = Usage(generated_tokens=tokens)
    return Record(name, 0, None, right, usage, None, "", (), is_cut=False)


DIRECT = Series(
    "direct",
    "m",
    [
        record("a", (20, True), (20, False), (20, False), (20, False)),
        record("b", (20, False), (20, False), (20, False), (20, False)),
    ],
)
SEARCH = Series("dfs", "m", [record("b", (130, True)), record("a", (40, True))])


def test_curves_by_hand() -> None:
    best = samples_curve(DIRECT, "best-of-n", "tokens")
    assert best.sizes == (1, 2, 4)
    assert best.costs.tolist() == [[20, 20], [40, 40], [80, 80]]
    assert best.accuracies.tolist() == [[0.25, 0], [0.5, 0], [1, 0]]
    vote = samples_curve(DIRECT, "vote", "tokens")
    assert vote.accuracies[-1].tolist() == [0, 0]  # three wrong ones agree
    trace = trace_curve(SEARCH, "tokens")
    assert trace.sizes == (32, 64, 128, 0)
    assert trace.costs.tolist() == [[32, 32], [64, 40], [128, 40], [130, 40]]
    assert trace.accuracies.tolist() == [[0, 0], [0, 1], [0, 1], [1, 1]]


def test_runs_of_growing_limits_are_a_curve_that_rises() -> None:
    runs = {
        64: [whole("a", 80, right=False), whole("b", 70, right=True)],
        128: [whole("b", 60, right=True), whole("a", 120, right=True)],  # in another order
    }
    found = runs_curve(runs)
    assert found.sizes == (64, 128)
    assert found.costs.tolist() == [[80, 70], [120, 70]]  # b took less with more to spend
    assert found.accuracies.tolist() == [[0, 1], [1, 1]]


def curve(costs: list[float], accuracies: list[float]) -> Curve:
    """A curve that is the same for each of four problems."""
    sizes = tuple(range(len(costs)))
    return Curve(sizes, *(np.repeat(np.array(v)[:, None], 4, 1) for v in (costs, accuracies)))


def test_a_trace_overtakes_where_the_lines_meet() -> None:
    # Over log2 of the cost the samples gain 0.1 a doubling from 0.2 at 16, the trace 0.3 from 0
    # at 16: they meet after one doubling.
    samples = curve([16, 256], [0.2, 0.6])
    trace = curve([16, 128], [0.0, 0.9])
    found = crossing(samples, trace, seed=0)
    assert found.cost == pytest.approx(32, rel=0.02)
    assert found.low == found.high == found.cost  # problems are all the same
    assert found.share == 1.0
    assert found.until is None
    assert (found.own, found.far) == (128, 256)
    assert found.at_own.mean == pytest.approx(0.9 - 0.5)
    assert found.at_far.mean == pytest.approx(0.9 - 0.6)  # the trace has ended, and stays


def test_a_lead_may_be_lost_again_or_never_won() -> None:
    samples = curve([16, 64, 256], [0.0, 0.2, 1.0])
    lost = crossing(samples, curve([16, 32], [0.0, 0.6]), seed=0)
    assert lost.cost is not None and lost.cost < 17
    assert lost.until == pytest.approx(128, rel=0.02)  # 0.2 + 0.4 a doubling
    never = crossing(samples, curve([16, 64], [-0.1, 0.1]), seed=0)
    assert (never.cost, never.low, never.high, never.until, never.share) == (*[None] * 4, 0.0)


def test_points_carry_their_intervals() -> None:
    same = points(curve([1, 2], [0.5, 0.7]), seed=0)
    assert [(p.cost, p.accuracy, p.low, p.high) for p in same] == [
        pytest.approx((1, 0.5, 0.5, 0.5)),
        pytest.approx((2, 0.7, 0.7, 0.7)),
    ]


def test_problems_are_paired_and_drawn(tmp_path: Path) -> None:
    found = figures_of(("sudoku", 2), DIRECT, SEARCH, "tokens", seed=0)
    assert isinstance(found, Measured)
    assert [p.accuracy for p in found.trace] == [0, 0.5, 0.5, 1]
    assert found.trace[-1].cost == 85
    # At 80 tokens the trace is right in one of two and more; so are the samples.
    at = found.crossings["best-of-n"]
    assert at.far == 80 and math.isclose(at.at_far.mean, 0.0, abs_tol=0.05)
    save_crossover([found], tmp_path / "figure.png", ("at once", "one trace"))
    assert (tmp_path / "figure.png").stat().st_size > 5_000
