import pytest

from tts.bundled.measures import mean_share, vote


@pytest.mark.parametrize(
    ("answers", "weights", "winner"),
    [
        (["7", "8", "7"], [1.0, 1.0, 1.0], "7"),
        (["7", "8", "7"], [0.1, 0.9, 0.2], "8"),
        (["8", "7"], [1.0, 1.0], "8"),  # the earliest of equals
        ([None, None, "7"], [1.0, 1.0, 0.1], "7"),  # no answer, no vote
        ([None], [1.0], None),
    ],
)
def test_vote(answers: list[str | None], weights: list[float], winner: str | None) -> None:
    assert vote(answers, weights) == winner


def test_share_and_interval() -> None:
    # mean 0.5; sample variance 4 * 0.25 / 3; its mean's deviation sqrt(1/3 / 4) = 0.2887
    share = mean_share([0.0, 1.0, 0.0, 1.0])
    assert share.value == 0.5
    assert share.high == 1.0  # 0.5 + 0.566, cut
    assert mean_share([0.4, 0.6] * 50).low == pytest.approx(0.4803, abs=1e-4)  # 0.1005 / 10 * 1.96
