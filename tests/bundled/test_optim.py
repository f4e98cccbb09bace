"""Several optimizers as one, by hand."""

import torch
from torch.optim import SGD

from tts.bundled.optim import Descent


def test_each_optimizer_keeps_its_own_rate() -> None:
    a, b = (torch.ones(1, requires_grad=True) for _ in range(2))
    descent = Descent([SGD([a], lr=0.1), SGD([b], lr=0.2)])
    descent.step((2 * a + 3 * b).sum())
    assert (round(a.item(), 6), round(b.item(), 6)) == (0.8, 0.4)  # 1 - 0.1 * 2, 1 - 0.2 * 3
    descent.set_rate(0.5)
    descent.set_rate(0.5)  # of the first rate, not of the last
    descent.step((2 * a + 3 * b).sum())
    assert (round(a.item(), 6), round(b.item(), 6)) == (0.7, 0.1)
    assert a.grad is None and b.grad is None


def test_gradients_are_cut_to_one_norm_together() -> None:
    a, b = (torch.zeros(1, requires_grad=True) for _ in range(2))
    Descent([SGD([a], lr=1.0), SGD([b], lr=1.0)]).step((3 * a + 4 * b).sum(), max_norm=1.0)
    assert torch.allclose(torch.cat([a, b]), torch.tensor([-0.6, -0.8]), atol=1e-4)
