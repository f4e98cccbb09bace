"""Drawing the tokens of workers: as the embedded engine's own sampler does on a CPU."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tts.engine import nucleus
from tts.types import Sampling


def seeds_of(seed: int, drawn: int, number: int) -> list[int]:
    """Return the seeds of the next `number` tokens of a team that has drawn some, one for each.

    Of one worker they are those of a plain completion.
    """
    base = nucleus.mix(np.array([seed % 2**64], np.uint64))
    places = np.arange(drawn, drawn + number, dtype=np.uint64)
    seeds: list[int] = (base + places * nucleus.GAMMA).tolist()
    return seeds


def draw(
    logits: Tensor, samplings: Sequence[Sampling], seeds: Sequence[int], banned: Sequence[list[int]]
) -> list[int]:
    """Draw a token for each row.

    Args:
        logits: [rows, V] float32.
        samplings: How each is drawn.
        seeds: Of each row.
        banned: Tokens that are not drawn.
    """
    logits = logits.cpu().clone()
    for row, ids in zip(logits, banned, strict=True):
        row[ids] = -torch.inf
    tokens = logits.argmax(dim=1)
    rows = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
    if rows:
        chosen = [samplings[row] for row in rows]
        scaled = logits[rows] / torch.tensor([[one.temperature] for one in chosen])
        least = torch.tensor([[one.min_p] for one in chosen])
        chances = scaled.softmax(dim=1)
        best = chances.amax(dim=1, keepdim=True)
        scaled = scaled.masked_fill(chances < least * best, -torch.inf)
        vocabulary = logits.shape[1]
        tokens[rows] = nucleus.draw(
            scaled,
            torch.tensor([one.top_k or vocabulary for one in chosen]),
            torch.tensor([one.top_p for one in chosen]),
            np.array([seeds[row] for row in rows], np.uint64),
        )
    drawn: list[int] = tokens.tolist()
    return drawn
