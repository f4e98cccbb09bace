"""Muon for the matrices, AdamW for the rest, and a time-based schedule."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Return matrices with singular values near 1 [..., rows, columns], by Newton-Schulz.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.size(-2) > matrices.size(-1)
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised; matrices of one shape are done in one batch."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape].append(p)
            for shape, params in by_shape.items():
                self._update(params, max(1.0, shape[0] / shape[1]) ** 0.5, group)

    def _update(self, params: list[Tensor], scale: float, group: dict[str, float]) -> None:
        directions = []
        for p in params:
            grad = p.grad
            assert grad is not None, "only matrices with a gradient come here"
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(grad, 1 - group["momentum"])
            directions.append(grad.lerp(momentum, group["momentum"]))
        for p, update in zip(params, orthogonalise(torch.stack(directions)), strict=True):
            p.mul_(1 - group["lr"] * group["decay"])
            p.add_(update, alpha=-group["lr"] * scale)


def build_optimizers(model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Return Muon for hidden matrices and AdamW for embeddings, heads, biases and norms."""
    hidden: list[Tensor] = []
    rest: list[Tensor] = []
    for name, p in model.named_parameters():
        (hidden if p.ndim == 2 and ".layers." in f".{name}" else rest).append(p)
    adam = torch.optim.AdamW(rest, lr=lr * 0.2, betas=(0.9, 0.97), weight_decay=0.0)
    return [Muon(hidden, lr=lr), adam]


class Descent:
    """Several optimizers that step together, each rate in proportion to what it was at first."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self._optimizers = optimizers
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self._groups = [(group, group["lr"]) for group in groups]

    def set_rate(self, factor: float) -> None:
        """Set every learning rate to this share of its first."""
        for group, first in self._groups:
            group["lr"] = first * factor

    def step(self, loss: Tensor, *, max_norm: float = math.inf) -> None:
        """Go one step down, with gradients cut to a norm, and forget them."""
        torch.autograd.backward([loss])
        nn.utils.clip_grad_norm_(
            [p for group, _ in self._groups for p in group["params"]], max_norm
        )
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def rate(progress: float, steps: int, *, warmup: int = 50, decay_from: float = 0.7) -> float:
    """Return the learning rate's factor: warm-up by steps, level, then linear to 0 by time."""
    fall = min(1.0, (1.0 - progress) / (1.0 - decay_from))
    return min(1.0, (steps + 1) / warmup) * max(fall, 0.0)
