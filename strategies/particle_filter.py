"""Particle filtering: step by step, draw the particles anew in proportion to their rewards.

Source: Puri et al. 2025, "A Probabilistic Inference Approach to Inference-Time Scaling of LLMs
using Particle-Based Monte Carlo Methods", arXiv:2502.01618; `its_hub`, `ParticleFiltering`. A
particle's log-weight is the logit of its reward, clipped to 1e-7 from 0 and 1; after every step all
particles, finished ones too, are drawn anew by softmax of the log-weights. The answer there is that
of the heaviest particle (`choose: best`); `vote` counts particles instead.

Departure: `resampling: systematic` is offered besides the published multinomial draw.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from tts.pipeline import Pipeline
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.strategies._search import Choice, SearchConfig, build_search

Resampling = Literal["multinomial", "systematic"]
_CLIP = 1e-7


class Policy(SearchPolicy):
    """Draws the particles of each level from those of the last."""

    holds_finished: ClassVar[bool] = True

    width: int = Field(8, ge=1, description="particles, finished ones included")
    resampling: Resampling = Field(
        "multinomial", description="independent draws, or one offset and then equal distances"
    )

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Resample, finished particles included."""
        if tree.num_expansions == 0:
            return Decision(expand=((ROOT, self.width),))
        finished = tree.with_state(NodeState.FINISHED).tolist()
        leaves = tree.open_leaves().tolist()
        if not leaves:
            return Decision()
        nodes = [*leaves, *finished]
        particles = np.array([1] * len(leaves) + tree.copies[finished].tolist())
        weights = particle_weights(tree.reward[nodes].tolist(), particles.tolist())
        counts = resample(weights, self.width, self.resampling, rng)
        drawn = dict(zip(nodes, counts, strict=True))
        return Decision(
            expand=tuple((leaf, drawn[leaf]) for leaf in leaves if drawn[leaf]),
            prune={leaf: "not drawn again" for leaf in leaves if not drawn[leaf]},
            copies={node: drawn[node] for node in finished},
        )


class Config(SearchConfig, Policy):
    """Parameters of particle filtering."""

    choose: Choice = Field("best", description="how the particles become one answer")


def build(config: Config) -> Pipeline:
    """Filter, then choose among the particles."""
    return build_search(config, Policy)


def particle_weights(rewards: Sequence[float], particles: Sequence[int]) -> list[float]:
    """Return the chance of each node in one draw: particles * r / (1 - r), normalised."""
    clipped = np.clip(rewards, _CLIP, 1 - _CLIP)
    odds = np.asarray(particles) * clipped / (1 - clipped)
    total = odds.sum()
    return [float(o / total) for o in odds] if total > 0 else [1 / len(odds)] * len(odds)


def resample(
    weights: Sequence[float], width: int, resampling: Resampling, rng: np.random.Generator
) -> list[int]:
    """Return how often each node is drawn; the counts sum to `width`."""
    if resampling == "multinomial":
        return [int(count) for count in rng.multinomial(width, weights)]
    # One random offset, then equal distances: node i is drawn floor or ceil of width * w_i times.
    ends = np.cumsum(weights) * width
    ends[-1] = width
    marks = np.arange(width) + rng.random()
    upto = np.searchsorted(marks, ends, side="left")
    return [int(count) for count in np.diff(upto, prepend=0)]
