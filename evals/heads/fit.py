"""Training of heads, on a CPU, in seconds.

Every place of a solution learns what came of the solution, so that a head is a value function: the
chance of a right answer from here. A solution's places share its weight, so that long ones do not
count for more; late places may have more of it, for they say more.
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
_EPOCHS = 20
_LEAST_STEPS = 300  # of few examples, more epochs
_BATCH = 64  # solutions
_ATTENTION = 16  # numbers in a query and a key
_LEARNING_RATE = 1e-3


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a head is made.

    Attributes:
        layers: Whose states it reads.
        penalty: Of its weights' squares, on standardised features.
        hidden: Width of its hidden layer; 0 for none.
        attends: Whether a place sees the hidden layer at those before it.
        lateness: A place's share of its solution's weight grows with this power of the share of
            tokens that are there; 0 for equal shares.
    """

    layers: tuple[int, ...]
    penalty: float
    hidden: int = 0
    attends: bool = False
    lateness: float = 0

    def __str__(self) -> str:
        """Describe it in a few words."""
        layers = " and ".join(map(str, self.layers))
        form = f"{self.hidden} hidden units" if self.hidden else "linear"
        form += " with attention" if self.attends else ""
        late = f", late places count more (power {self.lateness:g})" if self.lateness else ""
        return f"layer {layers}, {form}, penalty {self.penalty:g}{late}"


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
    weights = torch.from_numpy(place_weights(examples, recipe.lateness))
    if recipe.hidden:
        parameters = _fit_network(inputs, targets, weights, examples.solution, recipe, seed)
    else:
        parameters = _fit_linear(inputs, targets, weights, recipe)
    calibration = np.array([1.0, 0.0], np.float32)
    return {"mean": mean, "scale": scale, "calibration": calibration, **parameters}


def place_weights(examples: Examples, lateness: float) -> Array:
    """Return a weight for each place, the same sum for every solution, and 1 on average."""
    solution = examples.solution
    reached = (examples.places + 1) / (examples.places[examples.ends] + 1)[solution]
    shares = reached**lateness
    weights = shares / np.bincount(solution, shares)[solution]
    normalised: Array = (weights / weights.mean()).astype(np.float32)
    return normalised


def _fit_linear(
    inputs: Tensor, targets: Tensor, weights: Tensor, recipe: Recipe
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


def _fit_network(
    inputs: Tensor,
    targets: Tensor,
    weights: Tensor,
    solution: NDArray[np.int64],
    recipe: Recipe,
    seed: int,
) -> Mapping[str, Array]:
    generator = torch.Generator().manual_seed(seed)
    parameters = _start(inputs.shape[1], recipe, generator)
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=_LEARNING_RATE, weight_decay=recipe.penalty
    )
    starts = torch.from_numpy(np.flatnonzero(np.diff(solution, prepend=-1)))
    sizes = torch.from_numpy(np.bincount(solution))
    batches = -(-len(sizes) // _BATCH)
    epochs = max(_EPOCHS, _LEAST_STEPS // batches)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    for _ in range(epochs):
        order: Any = torch.randperm(len(sizes), generator=generator)
        for chosen in order.split(_BATCH):
            optimizer.zero_grad()
            places = torch.arange(int(sizes[chosen].max()))
            is_real = places < sizes[chosen, None]
            rows = (starts[chosen, None] + places).where(is_real, 0)
            loss: Any = binary_cross_entropy_with_logits(
                _forward(parameters, inputs[rows])[is_real],
                targets[rows][is_real],
                weights[rows][is_real],
            )
            loss.backward()
            optimizer.step()
            schedule.step()
    return {name: _array(value) for name, value in parameters.items()}


def _start(size: int, recipe: Recipe, generator: torch.Generator) -> dict[str, nn.Parameter]:
    def normal(*shape: int) -> nn.Parameter:
        return nn.Parameter(torch.randn(*shape, generator=generator) / shape[0] ** 0.5)

    width = recipe.hidden
    parameters = {
        "hidden_weight": normal(size, width),
        "hidden_bias": nn.Parameter(torch.zeros(width)),
        "out_weight": normal(2 * width if recipe.attends else width),
        "out_bias": nn.Parameter(torch.zeros(1)),
    }
    if recipe.attends:
        parameters |= {name: normal(width, _ATTENTION) for name in ("query", "key")}
        parameters["far"] = nn.Parameter(torch.full((1,), 0.5))
    return parameters


def _forward(parameters: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """Return logits, [B, T], of inputs, [B, T, F], as `Head.logits` does."""
    units = relu(inputs @ parameters["hidden_weight"] + parameters["hidden_bias"])
    if "query" in parameters:
        query, key = units @ parameters["query"], units @ parameters["key"]
        places = torch.arange(units.shape[1])
        back = places[:, None] - places
        scores = query @ key.mT / key.shape[-1] ** 0.5 - parameters["far"] ** 2 * back
        seen = scores.where(back >= 0, -torch.inf).softmax(dim=-1) @ units
        units = torch.cat([units, seen], dim=-1)
    return units @ parameters["out_weight"] + parameters["out_bias"]


def _array(value: Tensor) -> Array:
    array: Array = value.detach().numpy().copy()
    return array
