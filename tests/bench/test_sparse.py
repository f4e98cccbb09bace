"""The speed benchmark of sparse decode: its arithmetic."""

import pytest

from tts.bench.sparse_run import SpeedPlan, StepTimes, figures
from tts.engine.sparse_config import SparseConfig

PLAN = SpeedPlan(16_384, 8, SparseConfig(1_024), threads=2, layers=8, steps=3)


def test_the_speed_up_is_the_median_of_neighbouring_steps() -> None:
    # A hiccup of the machine that meets one step of each engine changes little.
    stock = StepTimes(wall=(30.0, 300.0, 40.0), cpu=(60.0, 62.0, 61.0))
    sparse = StepTimes(wall=(10.0, 150.0, 16.0), cpu=(20.0, 31.0, 20.0))
    found = figures(PLAN, stock, sparse)
    assert (found["stock_ms"], found["sparse_ms"]) == (40.0, 16.0)
    assert found["speedup"] == 2.5  # of 3, 2 and 2.5
    assert found["cpu_speedup"] == pytest.approx(3.0)
    assert found["sparse"] == "budget=1024"


def test_requests_outlast_the_prefill_of_the_others() -> None:
    # 131072 prompt tokens take 32 engine steps of 4096, and 3 are measured.
    assert PLAN.max_tokens == 3 + 32 + 32
