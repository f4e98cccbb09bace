"""How recorded texts split, and what clusters of their steps say, counted by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import Outcome
from tts.bench.steps_figures import Level, Trees, levels_of, splits_of
from tts.engine.pools import load_pool

RED, BLUE = "First we paint the house red.", "Then compute 17 * 3 = 51."


def row(*samples: tuple[str, str], name: str = "a") -> str:
    written = [
        {"answer": answer, "correct": answer == "1", "text": text} for text, answer in samples
    ]
    return json.dumps({"problem_id": name, "model": "m", "gold": "1", "samples": written}) + "\n"


@pytest.fixture
def pool(tmp_path: Path) -> str:
    path = tmp_path / "small.jsonl"
    path.write_text(
        row(
            (f"{RED}\n\n1", "1"),
            (f"{RED}!\n\n1", "1"),
            (f"{BLUE}\n\n2", "2"),
            (f"{BLUE}!\n\n1\n\nso 1", "1"),
            ("all in one", "1"),
            ("\n\n".join(["x" * 30] * 21) + "</think>\n\nso\n\n1", "1"),
        )
    )
    return str(path)


def test_splits_are_counted(pool: str) -> None:
    whole, after, pieces = splits_of(load_pool(pool))
    # Steps: 2, 2, 2, 3, 1 and 23.
    assert (whole.number, whole.steps) == (6, 2)
    assert (whole.share, whole.one, whole.many) == pytest.approx((4 / 6, 1 / 6, 1 / 6))
    assert (after.what, after.number, after.steps, after.share) == ("solutions", 1, 2, 1.0)
    # The long one has 21 * 30 + 20 * 2 + 8 + 7 = 685 characters, and a piece has 750.
    assert (pieces.what, pieces.one) == ("pieces", 1.0)


def test_levels_hold_the_steps_that_something_follows(pool: str) -> None:
    (level,) = levels_of(load_pool(pool), None)
    assert level.texts == (RED, f"{RED}!", BLUE, f"{BLUE}!", "x" * 30)
    assert level.answers == ("1", "1", "2", "1", "1")


def test_a_cut_by_hand() -> None:
    level = Level(0, (RED, f"{RED}!", BLUE, f"{BLUE}!"), ("1", "1", "2", "1"))
    cut = Trees([level], None, seed=0).cut(0.2)
    # Clusters {0, 1} and {2, 3}: two of six pairs, of which the first agrees. Of all six pairs
    # three agree, so one in two by chance. Covariance 1 - 2 * 3 / 6 = 0.
    assert (cut.merging, cut.clusters) == (1.0, 0.5)
    assert (cut.agreeing, cut.by_chance, cut.correlation) == (0.5, 0.5, 0.0)
    both = Level(0, level.texts, ("1", "1", "2", "2"))
    cut = Trees([both], None, seed=0).cut(0.2)
    assert (cut.agreeing, cut.by_chance) == pytest.approx((1.0, 1 / 3))
    assert (cut.correlation, cut.low, cut.high) == pytest.approx((1.0, 1.0, 1.0))
    apart = Trees([both], None, seed=0).cut(0.0)
    assert (apart.merging, apart.clusters, apart.correlation) == (0.0, 1.0, 0.0)
    assert apart.as_rebase == 1.0


def test_vectors_take_the_place_of_ngrams() -> None:
    level = Level(0, ("a", "b", "c", "d"), ("1", "1", "2", "2"))
    near, far = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    trees = Trees([level], {"a": near, "b": near, "c": far, "d": far}, seed=0)
    assert trees.cut(0.05).correlation == pytest.approx(1.0)


def test_the_command_prints_both_tables(tts: Callable[..., Outcome], pool: str) -> None:
    outcome = tts("bench", "steps", pool)
    assert outcome.code == 0
    assert "solutions" in outcome.out and "small m: 1 levels" in outcome.out
    found = tts("bench", "steps", pool, "--json").json
    (series,) = found["series"]
    assert [cut["distance"] for cut in series["cuts"]][:3] == [0.01, 0.02, 0.05]


def test_a_pool_without_texts_is_refused(tts: Callable[..., Outcome], tmp_path: Path) -> None:
    path = tmp_path / "bare.jsonl"
    path.write_text(row(("", "1")))
    outcome = tts("bench", "steps", str(path))
    assert outcome.code == 2 and "no sample of these pools has its text recorded" in outcome.err
