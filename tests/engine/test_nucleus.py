"""Top-k and top-p by partial selection keep what a sort keeps, and draw as their chances say."""

import numpy as np
import pytest
import torch

from tts.engine import nucleus

ROWS, VOCABULARY = 24, 5000


def _logits(scale: float) -> torch.Tensor:
    return torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(0)) * scale


def _by_sorting(chances: np.ndarray, k: int, p: float) -> set[int]:
    order = np.argsort(-chances)[:k]
    best = chances[order]
    before = np.cumsum(best) - best
    return {int(token) for token, mass in zip(order, before, strict=True) if mass < p * best.sum()}


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0, 8.0])  # a flat row needs the whole sort
@pytest.mark.parametrize(
    ("k", "p"),
    [
        (VOCABULARY, 0.95),
        (VOCABULARY, 0.3),
        (VOCABULARY, 0.9999),
        (20, 1.0),
        (2000, 1.0),
        (50, 0.8),
        (2000, 0.8),
    ],
)
def test_it_keeps_what_a_sort_keeps(scale: float, k: int, p: float) -> None:
    chances = (_logits(scale) + torch.arange(VOCABULARY) * 1e-4).double().softmax(1)
    seen = []
    each_k, each_p = torch.full((ROWS,), k), torch.full((ROWS,), p, dtype=torch.float64)
    for rows, values, ids in nucleus.kept(chances, each_k, each_p):
        for row, value, row_ids in zip(rows.tolist(), values, ids, strict=True):
            assert set(row_ids[value > 0].tolist()) == _by_sorting(chances[row].numpy(), k, p)
            seen.append(row)
    assert sorted(seen) == list(range(ROWS))


def test_each_row_has_its_own_k_and_p() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0]]).repeat(3, 1)
    k, p = torch.tensor([1, 4, 4]), torch.tensor([1.0, 1e-6, 1.0])
    drawn = [
        nucleus.draw(logits, k, p, np.arange(3, dtype=np.uint64) + np.uint64(3 * n)).tolist()
        for n in range(60)
    ]
    first, second, third = zip(*drawn, strict=True)
    assert set(first) == set(second) == {3}
    assert set(third) == {0, 1, 2, 3}


def test_a_row_draws_alike_in_any_batch() -> None:
    logits = _logits(2.0)
    k, p = torch.full((ROWS,), VOCABULARY), torch.full((ROWS,), 0.9)
    seeds = np.arange(ROWS, dtype=np.uint64)
    together = nucleus.draw(logits, k, p, seeds)
    alone = [nucleus.draw(logits[i : i + 1], k[:1], p[:1], seeds[i : i + 1]) for i in range(ROWS)]
    assert together.tolist() == torch.cat(alone).tolist()


def test_tokens_come_as_often_as_their_chances_say() -> None:
    """A chi-square test of 40,000 draws; 20.5 is the 99.9 % point at 5 degrees of freedom."""
    draws = 40_000
    logits = torch.tensor([0.0, 1.5, -2.0, 0.7, 0.2, 1.0, -1.0, 0.9]).repeat(draws, 1)
    k, p = torch.full((draws,), 8), torch.full((draws,), 0.95)
    drawn = nucleus.draw(logits, k, p, np.arange(draws, dtype=np.uint64))
    counts = np.bincount(drawn.numpy(), minlength=8)
    chances = logits[0].double().softmax(0).numpy()
    tokens = sorted(_by_sorting(chances, 8, 0.95))
    expected = chances[tokens] / chances[tokens].sum() * draws
    assert counts.sum() == counts[tokens].sum() == draws
    assert len(tokens) == 6
    assert ((counts[tokens] - expected) ** 2 / expected).sum() < 20.5


def test_it_keeps_what_vllm_keeps() -> None:
    ops = pytest.importorskip("vllm.v1.sample.ops.topk_topp_sampler")
    logits = _logits(4.0)
    k, p = torch.full((ROWS,), 400), torch.full((ROWS,), 0.9)
    theirs = ops.apply_top_k_top_p(logits.clone(), k, p).isfinite()
    ours = torch.zeros_like(theirs)
    for rows, values, ids in nucleus.kept(logits.softmax(1), k, p):
        ours[rows[:, None], ids] = values > 0
    assert torch.equal(ours, theirs)
