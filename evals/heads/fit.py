"""Training of heads, on a CPU, in seconds.

Every place of a solution learns what came of the solution, so that a head is a value function: the
chance of a right answer from here. A solution's places share its weight, so that long ones do not
count for more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts.errors import optional_import
from tts.evals.heads.examples import Examples
from tts.heads.head import Array

with optional_import("the training of a value head"):
    import torch
    from torch import Tensor, nn
    from torch.nn.functional import binary_cross_entropy_with_logits, relu

_LINEAR_STEPS = 60
_HIDDEN_EPOCHS = 30
_LEAST_STEPS = 300  # of few examples, more epochs
_BATCH = 512
_LEARNING_RATE = 1e-3


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a head is made.

    Attributes:
        layers: Whose states it reads.
        penalty: Of its weights' squares, on standardised features.
        hidden: Width of its hidden layer; 0 for none.
    """

    layers: tuple[int, ...]
    penalty: float
    hidden: int = 0

    def __str__(self) -> str:
        """Describe it in a few words."""
        layers = " and ".join(map(str, self.layers))
        form = f"{self.hidden} hidden units" if self.hidden else "linear"
        return f"layer {layers}, {form}, penalty {self.penalty:g}"


def fit(examples: Examples, recipe: Recipe, *, seed: int = 0) -> dict[str, Array]:
    """Return a head's arrays, without its calibration (slope 1, offset 0).

    Args:
        examples: What it learns from.
        recipe: How.
        seed: Of the hidden layer's start and the order of its batches.
    """
    features = examples.features(recipe.layers)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1.0).astype(np.float32)
    inputs = torch.from_numpy((features - mean) / scale)
    targets = torch.from_numpy(examples.label[examples.solution].astype(np.float32))
    weights = torch.from_numpy(place_weights(examples.solution))
    train = _fit_hidden if recipe.hidden else _fit_linear
    parameters = train(inputs, targets, weights, recipe, seed)
    calibration = np.array([1.0, 0.0], np.float32)
    return {"mean": mean, "scale": scale, "calibration": calibration, **parameters}


def place_weights(solution: NDArray[np.int64]) -> Array:
    """Return a weight for each place, the same sum for every solution, and 1 on average."""
    sizes = np.bincount(solution)
    weights = 1.0 / sizes[solution]
    normalised: Array = (weights / weights.mean()).astype(np.float32)
    return normalised


def _fit_linear(
    inputs: Tensor, targets: Tensor, weights: Tensor, recipe: Recipe, seed: int
) -> Mapping[str, Array]:
    weight = torch.zeros(inputs.shape[1], requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    optimizer: Any = torch.optim.LBFGS(
        [weight, bias], max_iter=_LINEAR_STEPS, line_search_fn="strong_wolfe"
    )

    def closure() -> Any:
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(inputs @ weight + bias, targets, weights)
        penalised: Any = loss + recipe.penalty * weight.square().sum()
        penalised.backward()
        return penalised

    optimizer.step(closure)
    return {"out_weight": _array(weight), "out_bias": _array(bias)}


def _fit_hidden(
    inputs: Tensor, targets: Tensor, weights: Tensor, recipe: Recipe, seed: int
) -> Mapping[str, Array]:
    generator = torch.Generator().manual_seed(seed)
    size, width = inputs.shape[1], recipe.hidden
    start = torch.randn(size, width, generator=generator) / size**0.5
    first, first_bias = nn.Parameter(start), nn.Parameter(torch.zeros(width))
    second = nn.Parameter(torch.randn(width, generator=generator) / width**0.5)
    second_bias = nn.Parameter(torch.zeros(1))
    parameters = [first, first_bias, second, second_bias]
    optimizer = torch.optim.AdamW(parameters, lr=_LEARNING_RATE, weight_decay=recipe.penalty)
    batches = -(-len(inputs) // _BATCH)
    epochs = max(_HIDDEN_EPOCHS, _LEAST_STEPS // batches)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    for _ in range(epochs):
        order: Any = torch.randperm(len(inputs), generator=generator)
        for rows in order.split(_BATCH):
            optimizer.zero_grad()
            hidden = relu(inputs[rows] @ first + first_bias)
            logits = hidden @ second + second_bias
            loss: Any = binary_cross_entropy_with_logits(logits, targets[rows], weights[rows])
            loss.backward()
            optimizer.step()
            schedule.step()
    names = ("hidden_weight", "hidden_bias", "out_weight", "out_bias")
    return {name: _array(value) for name, value in zip(names, parameters, strict=True)}


def _array(value: Tensor) -> Array:
    array: Array = value.detach().numpy().copy()
    return array
