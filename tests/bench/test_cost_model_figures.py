"""The cost model judged on times that it explains, and on times that it does not."""

from dataclasses import replace

import numpy as np
import pytest

from tests.test_work import INFO
from tts.bench.cost_model_figures import judge_cost_model, settings
from tts.costs.flops import Workload, decode_work, prefill_work
from tts.costs.hardware import Hardware, summed_seconds
from tts.errors import InputError

MACHINE = Hardware("m", 1e7, 1e6, 1e-3)


def test_there_are_enough_settings_of_each_kind() -> None:
    loads = settings()
    assert len(loads) >= 30 and len(set(loads)) == len(loads)
    assert {(load.num_prompts, load.num_samples) for load in loads} >= {(1, 1), (8, 1), (1, 8)}


def test_several_prompts_by_hand() -> None:
    one, four = Workload(10, 3, num_samples=2), Workload(10, 3, num_samples=2, num_prompts=4)
    for work in (prefill_work, decode_work):
        alone, together = work(INFO, one), work(INFO, four)
        assert together.flops == 4 * alone.flops
        assert together.kv_bytes == 4 * alone.kv_bytes
        assert together.weight_bytes == alone.weight_bytes  # read once for all
    part = decode_work(INFO, replace(four, batch=16))
    assert part.weight_bytes == decode_work(INFO, four).weight_bytes / 2


def test_times_of_the_model_are_predicted() -> None:
    loads = settings()
    rng = np.random.default_rng(0)
    times = [summed_seconds(MACHINE, INFO, load) * rng.uniform(0.95, 1.05) for load in loads]
    figures = judge_cost_model(INFO, loads, times)
    assert figures.accuracy.rank_correlation > 0.98 and figures.accuracy.median_error < 0.06
    assert figures.rank_interval.low <= figures.accuracy.rank_correlation
    assert (
        figures.error_interval.low <= figures.accuracy.median_error <= figures.error_interval.high
    )
    assert figures.hardware.step_seconds == pytest.approx(1e-3, rel=0.5)


def test_times_of_chance_are_not() -> None:
    times = np.random.default_rng(1).lognormal(size=len(settings())).tolist()
    figures = judge_cost_model(INFO, settings(), times)
    assert figures.accuracy.rank_correlation < 0.6 and figures.accuracy.median_error > 0.2


def test_too_few_settings_are_refused() -> None:
    with pytest.raises(InputError, match="8 measured settings"):
        judge_cost_model(INFO, settings()[:4], [1.0] * 4)
