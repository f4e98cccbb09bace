"""Calibration on runs made by hand, and its bad input."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.errors import InputError
from tts.evals.calibration.calibrate import calibrate
from tts.evals.records import Record, Sample
from tts.evals.stored_run import StoredRun
from tts.types import Usage
from tts.types.figures import Counted

CONFIG = {
    "benchmark": "chain",
    "preset": "self_consistency",
    "model": "m",
    "fingerprint": "f",
    "seed": 0,
    "split": "calibration",
}


def record(name: str, groups: list[int | None], right: int, *, is_cut: bool = False) -> Record:
    samples = tuple(Sample(str(g), g, g == right, 10) for g in groups)
    usage = Usage(generated_tokens=10 * len(groups), calls=len(groups))
    won = max(set(groups), key=groups.count) == right
    return Record(name, 0, "a", won, usage, 1.0, "", samples, is_cut)


def stored(records: list[Record], **config: Any) -> StoredRun:
    return StoredRun(Path("runs/x"), {**CONFIG, **config}, tuple(records), 1.0, None)


def mixed(number: int = 24) -> list[Record]:
    """A third settled and right, a third close, a third scattered and wrong."""
    rng = np.random.default_rng(0)
    kinds = ([0.95, 0.05], [0.55, 0.45], [0.05] * 20)
    return [
        record(f"p{i}", rng.choice(len(kinds[i % 3]), 16, p=kinds[i % 3]).tolist(), 0)
        for i in range(number)
    ]


def test_a_policy_has_belief_and_prices() -> None:
    policy = calibrate([stored(mixed()), stored(mixed(), preset="single")])
    assert (policy.model, policy.unit) == ("m", "tokens")
    samples = [point.samples for point in policy.prices]
    assert samples == sorted(samples)  # the lower the price, the more is drawn
    assert 2 <= samples[0] < samples[-1] <= 16
    assert policy.prices[-1].cost == pytest.approx(10 * samples[-1])
    assert policy.prices[-1].samples == 16.0  # for no price, all of them
    # Most of a right answer's share lies near 0 and 1, and wrong answers are a few or very many.
    assert max(policy.belief.right, policy.belief.wrong) < 0.5 < policy.belief.discount
    assert policy.provenance["problems"] == 24
    assert policy.notes == ("only 24 problems: intervals are wide",)


def test_samples_of_other_engines_are_none_of_the_models_own() -> None:
    own = stored([record(f"p{i}", [0, 0, 0, 1], right=0) for i in range(8)])
    others = [record(f"p{i}", [1, 1, 1, 1, 1, 1], right=0) for i in range(8)]
    mixture = stored(others, preset="mixture", samplers=["draft"])
    both, alone = calibrate([mixture, own]), calibrate([own])
    assert (both.belief, both.prices) == (alone.belief, alone.prices)


def test_a_search_on_the_same_problems_is_a_choice_where_it_does_better() -> None:
    scored = [
        replace(
            r,
            samples=tuple(replace(s, scores={"prm": 0.9 if s.correct else 0.2}) for s in r.samples),
        )
        for r in mixed(60)
    ]
    found = [replace(r, samples=(), correct=True, usage=Usage(generated_tokens=40)) for r in scored]
    beam = stored(found, preset="beam", preset_values={"strategy": "beam_search"})
    ladder = calibrate([stored(scored), beam]).ladder
    assert ladder is not None
    (choice,) = ladder.choices
    assert (choice.preset, choice.strategy) == ("beam", "beam_search")
    assert choice.bins[0].accuracy == 1.0
    assert choice.bins[0].cost == pytest.approx(4.0)  # 40 tokens, and 10 a sample


def test_budgets_are_in_samples_where_tokens_were_not_counted() -> None:
    records = mixed()
    bare = [
        replace(
            r,
            samples=tuple(replace(sample, tokens=None) for sample in r.samples),
            usage=Usage.unknown(len(r.samples)),
        )
        for r in records
    ]
    policy = calibrate([stored(bare)])
    assert (policy.unit, policy.prices[-1].cost) == ("calls", 16.0)
    with pytest.raises(InputError, match="'p0' cost is not known in flops: the engine does"):
        calibrate([stored(bare)], unit="flops")


@pytest.mark.parametrize(
    ("unit", "first", "last"),
    [
        ("tokens", 20.0, 160.0),
        ("calls", 4.0, 32.0),  # a sample and its check
        ("flops", 2_000.0, 16_000.0),
        ("usd", 0.02, 0.16),
        # The probe of two is drawn at once; the others follow one by one.
        ("sequential", 10.0, 150.0),
        ("seconds", 0.5, 7.5),
    ],
)
def test_costs_are_in_the_unit_that_was_asked_for(unit: Counted, first: float, last: float) -> None:
    spent = Usage(
        generated_tokens=160, calls=32, flops=16_000.0, usd=0.16, latency_tokens=10, seconds=9.0
    )
    settled = [record(f"p{i}", [0] * 16, 0) for i in range(8)]  # so the probe is enough
    records = [replace(r, usage=spent, seconds=0.5) for r in settled]
    policy = calibrate([stored(records, engine="vllm")], unit=unit)
    assert policy.unit == unit
    assert policy.prices[0].samples == 2.0
    assert policy.prices[0].cost == pytest.approx(first)
    assert policy.prices[-1].cost == pytest.approx(last)


def test_recorded_samples_have_no_seconds() -> None:
    with pytest.raises(InputError, match="recorded samples have none"):
        calibrate([stored(mixed(), engine="replay")], unit="seconds")


@pytest.mark.parametrize("right", [0, 9])
def test_one_sided_data_give_a_policy_with_a_note(right: int) -> None:
    records = [record(f"p{i}", [0] * 8, right) for i in range(8)]
    scored = [
        replace(r, samples=tuple(replace(s, scores={"prm": 0.5}) for s in r.samples))
        for r in records
    ]
    policy = calibrate([stored(scored)])
    assert "every sample is right, or every one wrong" in policy.notes[0]
    assert policy.ladder is None  # it would draw one sample of every problem, whatever is left
    mean = policy.belief.right / (policy.belief.right + policy.belief.wrong)
    assert 0.0 < mean < 1.0 and (mean > 0.5) == (right == 0)


@pytest.mark.slow
@pytest.mark.parametrize("last", [{}, {"prm": 1.5}, {"prm": -0.1}])
def test_a_verifier_that_left_samples_out_gives_no_ladder_but_a_note(last: Any) -> None:
    records = [record(f"p{i}", [0, 1, 0, 2], 0) for i in range(8)]
    given = [
        replace(r, samples=tuple(replace(a, scores={"prm": 0.5, "judge": 0.5}) for a in r.samples))
        for r in records
    ]
    assert calibrate([stored(given)]).ladder is not None
    first = given[0].samples
    given[0] = replace(given[0], samples=(replace(first[0], scores=last), *first[1:]))
    policy = calibrate([stored(given)])
    assert policy.ladder is None
    assert any("no ladder by prm: 1 of 32 samples" in note for note in policy.notes)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "have none"),
        ([stored(mixed()), stored(mixed(), model="other")], "have m, other|have other, m"),
        ([stored([])], "four problems"),
        ([stored([record(f"p{i}", [0], 0) for i in range(9)])], "add a preset that draws them"),
        ([stored([record(f"p{i}", [0] * 8, 0, is_cut=True) for i in range(9)])], "got 0"),
        ([stored([record(f"p{i}", [None] * 8, 0) for i in range(9)])], "sample with an answer"),
    ],
)
def test_data_that_teach_nothing_are_refused(runs: list[StoredRun], message: str) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(runs)
