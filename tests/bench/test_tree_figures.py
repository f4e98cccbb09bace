"""Figures of tree searches by hand, and from a run's folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.evals.test_run_store import CONFIG, record
from tts.bench.tree_figures import (
    Outcome,
    compare_searches,
    load_outcomes,
    paired_ratio,
    search_figures,
)
from tts.evals.run_store import RunStore
from tts.types import RunFacts, SearchFigures


def figures(held: int) -> SearchFigures:
    return SearchFigures(
        steps=10,
        finished=2,
        peak_kv_blocks=held // 5,
        mean_kv_blocks=held / 10,
        mean_kv_blocks_kept=held / 20,
        mean_kv_tokens=held / 2,
        mean_kv_tokens_kept=held / 3,
        mean_kv_node_tokens=held,
        mean_kv_node_tokens_kept=held / 4,
        tree_tokens=60,
        cached_tokens=90,
        reusable_tokens=100,
        mean_solution_tokens=40.0,
    )


def outcome(correct: float, tokens: int, held: int | None, scored: int = 80) -> Outcome:
    return Outcome(correct, tokens, scored, None if held is None else figures(held))


def test_a_run_is_the_mean_of_its_problems() -> None:
    found = search_figures({"p": outcome(1, 10, 100), "q": outcome(0, 30, 300)})
    assert (found.kv_node_tokens, found.kv_node_tokens_kept) == (200, 50)
    assert (found.kv_blocks, found.kv_blocks_peak, found.kv_tokens) == (20, 40, 100)
    assert (found.steps, found.solution_tokens) == (10, 40)
    assert found.cached_share == pytest.approx(0.9)
    # 120 tokens lie in the trees, 160 were read.
    assert (found.scored_tokens, found.reread_share) == (80, 0.25)


def test_methods_without_a_tree_have_no_tree_figures() -> None:
    found = search_figures({"p": outcome(1, 10, None, scored=7)})
    assert found.kv_blocks is found.steps is found.cached_share is found.reread_share is None
    assert found.scored_tokens == 7


def test_a_search_without_solutions_does_not_count_for_their_length() -> None:
    none = Outcome(0, 5, 0, replace(figures(1), finished=0, mean_solution_tokens=0.0))
    assert search_figures({"p": outcome(1, 1, 1), "q": none}).solution_tokens == 40
    assert search_figures({"q": none}).solution_tokens is None


def test_comparison_by_hand() -> None:
    base = {"p": outcome(1, 10, 300), "q": outcome(0, 30, 100), "only here": outcome(1, 1, 1)}
    run = {"p": outcome(1, 20, 100), "q": outcome(1, 20, 100), "only there": outcome(0, 1, 1)}
    found = compare_searches(base, run)
    assert found.problems == 2
    assert found.kv_node_tokens is not None
    # 400 against 200; resampled problems give 1 (q twice), 2 or 3 (p twice).
    assert tuple(found.kv_node_tokens) == pytest.approx((2, 1, 3))
    assert found.tokens.value == pytest.approx(1)
    assert found.accuracy.mean == pytest.approx(0.5)
    assert (found.accuracy.low, found.accuracy.high) == (0, 1)


def test_a_base_against_a_method_without_a_tree_compares_accuracy_and_tokens() -> None:
    found = compare_searches({"p": outcome(1, 10, 300)}, {"p": outcome(0, 5, None)})
    assert found.kv_blocks is found.kv_node_tokens is None
    assert (found.accuracy.mean, found.tokens.value) == (-1, 0.5)


@pytest.mark.parametrize(("above", "below"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0])])
def test_what_cannot_be_divided_is_refused(above: list[float], below: list[float]) -> None:
    with pytest.raises(ValueError, match=r"paired|sum to 0"):
        paired_ratio(above, below)


def test_outcomes_of_a_folder(tmp_path: Path) -> None:
    searched = replace(record(0), facts=RunFacts(searches=(figures(5), figures(8))))
    with RunStore(tmp_path, CONFIG) as store:
        store.add(searched, [])
        store.add(record(1), [])
    found = load_outcomes(store.folder)
    assert (found["p/0"].correct, found["p/0"].tokens) == (1.0, 5)
    assert found["p/0"].search == figures(8)
    assert found["p/1"].search is None
