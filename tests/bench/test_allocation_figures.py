"""Uniform voting against allocation, on pools made by hand and on recorded ones."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.pools import recorded_pool, row, write_pool
from tts.bench.allocation_figures import compare_allocation, to_recorded
from tts.engine.pools import load_pool
from tts.errors import InputError


def test_right_answers_are_one_class_and_wrong_ones_go_by_their_form(tmp_path: Path) -> None:
    one = row("a", ["4", "5", "5.0", None, "6"])
    one["samples"].append({"answer": "8/2", "correct": True})
    pool = load_pool(str(write_pool(tmp_path, one)))
    found = to_recorded(pool.problems[0])
    assert found.classes == (0, 1, 1, -1, 2, 0)
    assert found.right == {0}


def test_allocation_saves_where_problems_differ(tmp_path: Path) -> None:
    # Half of the problems are settled by any sample, the rest need many: 7 : 3 for the right one.
    rng = np.random.default_rng(0)
    rows = []
    for i in range(40):
        p = 1.0 if i % 2 else 0.7
        rows.append(row(f"p{i}", ["4" if hit else "5" for hit in rng.random(40) < p]))
    figures = compare_allocation(
        load_pool(str(write_pool(tmp_path, *rows))), num_orders=4, num_resamples=20
    )
    assert figures.num_problems == 40 and figures.num_samples == 40
    whole = figures.whole
    assert whole.num_uniform == 40
    assert whole.value is not None and whole.value < 0.75
    assert whole.low <= whole.value <= whole.high
    assert whole.num_oracle < (whole.num_allocated or 0)


def test_two_halves_need_four_problems(tmp_path: Path) -> None:
    pool = load_pool(str(write_pool(tmp_path, *(row(f"p{i}", ["4"] * 16) for i in range(3)))))
    with pytest.raises(InputError, match="four problems"):
        compare_allocation(pool)


def test_half_of_the_samples_do_on_recorded_votes() -> None:
    # menik1126/Asynchronous-Test-Time-Scaling: DeepSeek-R1-Distill-Llama-8B on MATH-500 problems.
    pool = load_pool(str(recorded_pool("math100_r1distill_llama8b_text")))
    whole = compare_allocation(pool, num_orders=3, num_resamples=10).whole
    assert whole.value is not None and whole.value < 0.5
