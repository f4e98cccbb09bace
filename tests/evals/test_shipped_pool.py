"""The pool of a pretrained model in `examples/pools`: what the documentation says of it."""

from pathlib import Path

import pytest

import tts
from tts.engine.pools import load_pool

ROOT = Path(__file__).resolve().parents[2]
POOL = "replay:" + str(ROOT / "examples/pools/gsm8k_qwen2.5-coder-0.5b.jsonl.gz")


def test_early_stopping_saves_a_little_where_attempts_disagree(tmp_path: Path) -> None:
    presets = ["self_consistency", "adaptive_consistency"]
    vote, early = tts.evaluate("pool", presets, model=POOL, out=tmp_path)
    assert vote.problems == 100
    assert vote.tokens.generated == 459_700
    assert vote.cost.eflops == pytest.approx(1.33e13, rel=0.01)
    assert vote.pass_at_k[1] == pytest.approx(0.203, abs=0.001)
    assert vote.pass_at_k[16] == pytest.approx(0.60)
    # Ties are broken by the order in which samples come, which is shuffled.
    assert vote.accuracy == pytest.approx(0.33, abs=0.02)
    assert early.accuracy == pytest.approx(vote.accuracy, abs=0.01)
    assert 0.87 < (early.tokens.generated or 0) / 459_700 < 0.91


def test_what_may_be_fitted_has_a_pool_of_its_own(tmp_path: Path) -> None:
    model = POOL.replace("gsm8k_", "gsm8k_train_")
    (vote,) = tts.evaluate("pool", overrides=["n=8"], model=model, out=tmp_path)
    assert (vote.problems, vote.tokens.generated) == (240, 578_232)
    assert vote.pass_at_k[1] == pytest.approx(0.227, abs=0.001)
    assert vote.pass_at_k[8] == pytest.approx(0.542, abs=0.001)
    assert vote.accuracy == pytest.approx(0.35, abs=0.02)


def test_the_larger_model_has_a_pool_of_the_first_of_these_problems(tmp_path: Path) -> None:
    model = POOL.replace("gsm8k_", "gsm8k_train_").replace("0.5b", "1.5b")
    (vote,) = tts.evaluate("pool", overrides=["n=4"], model=model, out=tmp_path)
    assert (vote.problems, vote.tokens.generated) == (80, 98_400)
    assert vote.model == "Qwen2.5-Coder-1.5B-Instruct"
    assert vote.pass_at_k[1] == pytest.approx(0.6125)
    assert vote.cost.eflops == pytest.approx(9.8e12, rel=0.05)
    small = load_pool(POOL.replace("gsm8k_", "gsm8k_train_").removeprefix("replay:"))
    large = load_pool(model.removeprefix("replay:"))
    pairs = zip(small.problems, large.problems, strict=False)
    assert all(one.problem.id == other.problem.id for one, other in pairs)


def test_it_names_no_folder_of_anybodys_machine(tmp_path: Path) -> None:
    (single,) = tts.evaluate("pool", ["single"], model=POOL, out=tmp_path, limit=1)
    assert single.model == "Qwen2.5-Coder-0.5B-Instruct"


def test_a_vote_of_a_small_model_before_a_larger_one_saves_no_operations(tmp_path: Path) -> None:
    large = POOL.replace("0.5b", "1.5b")
    overrides = ["draft=small", "n=4", "at_least=0.9", "parameters.n=4"]
    small = {"small": POOL}
    (cascade,) = tts.evaluate(
        "pool", ["cascade"], overrides=overrides, model=large, engines=small, out=tmp_path
    )
    (vote,) = tts.evaluate("pool", overrides=["n=4"], model=large, out=tmp_path)
    assert (vote.problems, vote.tokens.generated) == (100, 120_459)
    assert vote.pass_at_k[1] == pytest.approx(0.522, abs=0.001)
    assert cascade.accuracy == pytest.approx(vote.accuracy, abs=0.05)
    # Both kinds of tokens together; those of the 1.5B alone are near all of the vote's.
    assert (cascade.tokens.generated or 0) > 1.7 * 120_459
