"""What choices of several seeds are worth, and what one optimiser gains over another, by hand."""

import pytest

from tts.tuning.repeats import Standing, gain, worth


def standing(marks: str, cost: float = 1.0) -> Standing:
    """Return a test on problems a, b, ...: 1 for each that was solved."""
    return Standing({chr(97 + i): float(mark) for i, mark in enumerate(marks)}, cost)


def test_choices_are_worth_their_mean_over_the_seeds() -> None:
    found = worth([standing("1100", 2.0), standing("1110", 4.0)], changed=1)
    assert (found.accuracy, found.cost, found.changed) == (0.625, 3.0, 1)
    assert found.interval == (0.5, 0.75)


def test_a_gain_has_an_interval_over_seeds_and_one_over_problems() -> None:
    # Problem d alone is gained, by either seed: seeds agree, problems do not.
    found = gain([standing("1100"), standing("0110")], [standing("1101"), standing("0111")])
    assert found.by_seed == (0.25, 0.25, 0.25)
    assert list(found.by_problem) == pytest.approx([0.25, 0.0, 0.75])
    # One seed gains two problems and the other loses two: problems agree, seeds do not.
    found = gain([standing("00"), standing("11")], [standing("11"), standing("00")])
    assert found.by_seed == (0.0, -1.0, 1.0)
    assert found.by_problem == (0.0, 0.0, 0.0)


def test_seeds_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        gain([standing("1"), standing("1")], [standing("1")])
