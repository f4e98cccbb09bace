"""LinUCB by hand, with one feature and with two."""

import pytest

from tts.allocation.bandit import Pull, choose_arm


@pytest.mark.parametrize(
    ("past", "alpha", "arm"),
    [
        ((), 1.0, 0),  # nothing is known of either: a tie, which the first wins
        # One feature, 1: A = 1 + pulls, theta = sum r / A. Arm 0: 1/2 + a sqrt(1/2);
        # arm 1: 0 + a. So the unknown one is pulled where a (1 - 0.7071) > 0.5, a > 1.7071.
        ((Pull(0, (1.0,), 1.0),), 1.7, 0),
        ((Pull(0, (1.0,), 1.0),), 1.8, 1),
        # Arm 0 lost thrice: 0 + a/2; the unknown one has a.
        ((Pull(0, (1.0,), 0.0),) * 3, 0.1, 1),
        # Means alone: 2/3 of arm 0 against 3/4 of arm 1.
        ((Pull(0, (1.0,), 1.0),) * 2 + (Pull(1, (1.0,), 1.0),) * 3, 0.0, 1),
    ],
)
def test_the_highest_upper_bound_is_pulled(past: tuple[Pull, ...], alpha: float, arm: int) -> None:
    assert choose_arm(past, (1.0,), arms=2, alpha=alpha) == arm


def test_an_arm_is_good_where_it_was_good() -> None:
    # Arm 0 wins where the second feature is 1, arm 1 where it is 0.
    past = [Pull(0, (1.0, 1.0), 1.0), Pull(0, (1.0, 0.0), 0.0)] * 5
    past += [Pull(1, (1.0, 1.0), 0.0), Pull(1, (1.0, 0.0), 1.0)] * 5
    assert choose_arm(past, (1.0, 1.0), arms=2, alpha=0.1) == 0
    assert choose_arm(past, (1.0, 0.0), arms=2, alpha=0.1) == 1
