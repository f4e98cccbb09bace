"""Predicted against measured seconds of an engine, over many settings.

Two-fold cross-validated: the hardware profile is fitted to the measured times of every other
setting and predicts the rest, both ways round. Intervals are of a bootstrap over settings, 95 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from tts.costs.flops import Workload
from tts.costs.hardware import (
    Accuracy,
    Hardware,
    fit_hardware,
    prediction_accuracy,
    summed_seconds,
)
from tts.errors import InputError
from tts.types import ModelInfo
from tts.types.figures import Interval

_NUM_RESAMPLES = 2_000
_LEAST = 8
PROMPTS, LENGTHS = (32, 256, 1024), (16, 64, 160)
BATCHES = ((1, 1), (8, 1), (1, 8), (4, 4))  # prompts, samples of each


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """How well the cost model knows an engine.

    Attributes:
        loads: The settings.
        measured: Seconds of each.
        predicted: Seconds of each, by the profile fitted to the other half.
        accuracy: Rank correlation and median relative error.
        rank_interval: Of the rank correlation.
        error_interval: Of the median error.
        hardware: The profile fitted to all settings.
    """

    loads: tuple[Workload, ...]
    measured: tuple[float, ...]
    predicted: tuple[float, ...]
    accuracy: Accuracy
    rank_interval: Interval
    error_interval: Interval
    hardware: Hardware


def settings() -> tuple[Workload, ...]:
    """Return 36 settings: prompt and output lengths, batches of own and of shared prompts."""
    return tuple(
        Workload(prompt, length, num_samples=samples, num_prompts=prompts)
        for prompt, length, (prompts, samples) in product(PROMPTS, LENGTHS, BATCHES)
    )


def judge_cost_model(
    info: ModelInfo, loads: Sequence[Workload], measured: Sequence[float], *, seed: int = 0
) -> EngineFigures:
    """Return how well times of half of the settings predict those of the other half.

    Raises:
        InputError: Fewer than eight settings, times that are not positive, or a model of unknown
            shape.
    """
    if len(loads) != len(measured) or len(loads) < _LEAST:
        raise InputError(f"the cost model is judged on {_LEAST} measured settings or more")
    rng = np.random.default_rng(seed)
    halves = np.array_split(rng.permutation(len(loads)), 2)
    predicted = np.zeros(len(loads))
    for test, train in (halves, halves[::-1]):
        profile = fit_hardware(
            "half", info, [loads[i] for i in train], [measured[i] for i in train]
        )
        predicted[test] = [summed_seconds(profile, info, loads[i]) for i in test]
    times = np.asarray(measured, dtype=np.float64)
    resampled = []
    for _ in range(_NUM_RESAMPLES):
        drawn = rng.integers(len(times), size=len(times))
        resampled.append(prediction_accuracy(predicted[drawn].tolist(), times[drawn].tolist()))
    low, high = np.quantile(np.asarray(resampled), [0.025, 0.975], axis=0)
    return EngineFigures(
        loads=tuple(loads),
        measured=tuple(measured),
        predicted=tuple(float(value) for value in predicted),
        accuracy=prediction_accuracy(predicted.tolist(), times.tolist()),
        rank_interval=Interval(float(low[0]), float(high[0])),
        error_interval=Interval(float(low[1]), float(high[1])),
        hardware=fit_hardware("measured", info, loads, measured),
    )
