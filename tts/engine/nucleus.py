"""Top-k and top-p by partial selection: only the likeliest tokens of a row are sorted.

A nucleus of 0.95 holds a handful of tokens, and vLLM sorts all 152,000 of a vocabulary to find it.
Here the `WIDTHS[0]` likeliest are picked out; a row whose nucleus is larger is looked at again,
wider, and in the end whole. What is kept is what the sort keeps.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WIDTHS = (64, 1024)


def draw(logits: Tensor, k: Tensor, p: Tensor, seeds: NDArray[np.uint64]) -> Tensor:
    """Draw one token for each row, from the nucleus of mass `p` of its `k` likeliest tokens.

    Args:
        logits: Shape `(rows, vocabulary)`, already divided by the temperature.
        k: Shape `(rows,)`; the vocabulary's size keeps everything.
        p: Shape `(rows,)`; 1 keeps everything.
        seeds: Shape `(rows,)`; a seed and logits draw the same token, whatever the other rows are.

    Returns:
        Token ids, shape `(rows,)`.
    """
    tokens = torch.empty(len(logits), dtype=torch.int64)
    for rows, chances, ids in kept(logits.softmax(1), k, p):
        noisy = chances.log() + gumbel(seeds[rows.numpy()], ids)
        tokens[rows] = ids.gather(1, noisy.argmax(1, keepdim=True)).squeeze(1)
    return tokens


def kept(chances: Tensor, k: Tensor, p: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield `(rows, chances, ids)` of a few rows at a time, until every row was yielded once.

    Args:
        chances: Probabilities, shape `(rows, vocabulary)`.
        k: As `draw` takes it.
        p: As `draw` takes it.

    Yields:
        Row numbers; the chances of their likeliest tokens, in order, 0 where `k` or `p` leaves a
        token out; the ids of these tokens. The last two are of shape `(len(rows), width)`.
    """
    vocabulary = chances.shape[1]
    rows = torch.arange(len(chances))
    for width in (*(width for width in WIDTHS if width < vocabulary), vocabulary):
        is_last = width == vocabulary
        best, ids = chances.sort(1, descending=True) if is_last else chances.topk(width)
        in_k = torch.where(torch.arange(width) < k[:, None], best, 0.0)
        sums = in_k.cumsum(1)
        held = sums[:, -1:]
        is_free, is_all_of_k = k[:, None] >= vocabulary, k[:, None] <= width
        mass = p[:, None] * torch.where(is_all_of_k, held, 1.0)
        in_nucleus = torch.where(sums - in_k < mass, in_k, 0.0)
        is_settled = (is_all_of_k | (is_free & (held >= mass))).squeeze(1) | is_last
        yield rows[is_settled], in_nucleus[is_settled], ids[is_settled]
        if is_settled.all():
            return
        chances, k, p, rows = (each[~is_settled] for each in (chances, k, p, rows))


# SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195).
GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64 well-mixed bits of each number, so that numbers in a row share nothing."""
    z = z + GAMMA
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def gumbel(seeds: NDArray[np.uint64], ids: Tensor) -> Tensor:
    """Return Gumbel noise for each row's seed and token, shape of `ids`.

    It hangs on the token, not on its rank: rounding that swaps two equal logits changes nothing.
    """
    bits = mix(seeds[:, None] + ids.numpy().view(np.uint64) * GAMMA)
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return torch.from_numpy(-np.log(-np.log(uniform)))
