"""Conformal p-values: by hand, their error rate, and turn by turn on recorded perplexities."""

import gzip
import json
import math
import os
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tts.allocation.conformal import Conformal
from tts.errors import InputError

POOL = "pools/math100_r1llama8b_qwq32b.jsonl.gz"


def made(*turns: tuple[float, ...], mean: float = 2.0) -> Conformal:
    return Conformal(turns, draft="small", target="big", mean_turns=mean)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.5, 1.0),  # (1 + 4) / 5: all four are larger
        (2.0, 0.8),  # (1 + 3) / 5: an equal one counts
        (3.5, 0.4),  # (1 + 1) / 5
        (9.0, 0.2),  # (1 + 0) / 5: never 0
    ],
)
def test_a_p_value_is_the_share_of_scores_that_are_no_smaller(
    score: float, expected: float
) -> None:
    scores = made((1.0, 2.0, 3.0, 4.0), (10.0,))
    assert scores.p_value(0, score) == pytest.approx(expected)
    # One score only, and it is larger: (1 + 1) / 2. So it is on all later turns.
    assert scores.p_value(1, score) == scores.p_value(7, score) == 1.0


def test_turns_with_few_scores_share_them() -> None:
    attempts = [(1.0, 2.0, 3.0)] * 15 + [(1.5, 2.5)] * 15 + [(1.0,)] * 10
    fitted = Conformal.fit(attempts, draft="small", target="big")
    # 40 of the first turn, 30 of the second; 15 of the third are too few, and join those.
    assert [len(turn) for turn in fitted.turns] == [40, 45]
    assert fitted.turns[1][-1] == 3.0
    assert fitted.mean_turns == pytest.approx((15 * 3 + 15 * 2 + 10) / 40)
    with pytest.raises(InputError, match="15 scored chunks are too few"):
        Conformal.fit([(1.0,)] * 15, draft="small", target="big")


def test_a_budget_of_takeovers_becomes_an_alpha() -> None:
    # 16 attempts of 2.5 turns are 40 chunks; 4 of them are a tenth.
    assert made((1.0,), mean=2.5).alpha_for(4.0, 16) == pytest.approx(0.1)
    assert made((1.0,), mean=2.5).alpha_for(400.0, 16) == 1.0


@pytest.mark.parametrize("alpha", [0.1, 0.4, 0.8])
def test_exchangeable_scores_are_rejected_at_the_rate_of_alpha(alpha: float) -> None:
    rng = np.random.default_rng(0)
    rejected = []
    for _ in range(2_000):  # calibration drawn anew each time: the rate is over both draws
        *before, score = rng.exponential(size=20)
        rejected.append(made(tuple(sorted(before))).p_value(0, score) <= alpha)
    exact = math.floor(alpha * 20) / 20  # 19 scores: p is uniform on k/20
    assert abs(np.mean(rejected) - exact) < 4 * math.sqrt(exact * (1 - exact) / 2_000)


def test_it_is_written_and_read(tmp_path: Path) -> None:
    path, scores = tmp_path / "scores.json", made((1.0, 2.0), (3.0,))
    scores.save(path)
    assert Conformal.load(path) == scores
    with pytest.raises(InputError, match=r"missing\.json: not found; write it with `tts calib"):
        Conformal.load(tmp_path / "missing.json")
    for text in ('{"turns": []}', '{"turns": [[]], "draft": "", "target": "", "mean_turns": 1}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"scores\.json: holds no scores of drafts"):
            Conformal.load(path)


@pytest.mark.skipif("TTS_DATA_DIR" not in os.environ, reason="reads recorded perplexities")
def test_recorded_chunks_are_rejected_at_the_rate_of_alpha_on_every_turn() -> None:
    """QwQ-32B's perplexities of an 8B draft's chunks: half of the attempts against the other half.

    Each rate lies within three standard errors of alpha, those of both halves' sizes together.
    """
    path = Path(os.environ["TTS_DATA_DIR"]) / POOL
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        samples = [sample for line in file for sample in json.loads(line)["samples"]]
    attempts = [
        tuple(takewhile(lambda score: score is not None, sample["chunk_ppl"])) for sample in samples
    ]
    Random(0).shuffle(attempts)
    half, alpha = len(attempts) // 2, 0.4
    fitted = Conformal.fit(attempts[:half], draft="draft", target="target")
    first = replace(fitted, turns=fitted.turns[:1])
    by_first = []
    for turn in range(15):
        scores = [attempt[turn] for attempt in attempts[half:] if len(attempt) > turn]
        rate = np.mean([fitted.p_value(turn, score) <= alpha for score in scores])
        size = 1 / (1 / len(scores) + 1 / len(fitted.turns[turn]))
        assert abs(rate - alpha) < 3 * math.sqrt(alpha * (1 - alpha) / size), (turn, rate)
        by_first.append(np.mean([first.p_value(turn, score) <= alpha for score in scores]))
    # First chunks alone would reject too few of second ones and too many of late ones.
    assert by_first[1] < 0.32 and np.mean(by_first[3:]) > 0.43
