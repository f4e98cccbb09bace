"""What a search policy is asked, and what it may answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tts.parts.parameters import Parameters
from tts.protocols import KVDemand
from tts.search.tree import SearchTree


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy wants next.

    Attributes:
        expand: (open tree node, number of children to add), in the order of submission.
        prune: Reason by tree node to be given up, running ones included.
        copies: How often a finished node counts, where that is not once.
        warnings: What went wrong in deciding, in sentences.
        doubt: Why the decision may be worth little; a warning in the end where most had the same.
        notes: For the trace: why.
    """

    expand: tuple[tuple[int, int], ...] = ()
    prune: Mapping[int, str] = field(default_factory=dict)
    copies: Mapping[int, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    doubt: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bid:
    """What a policy would keep of the KV cache at each price, and what it decides at a price.

    Attributes:
        demand: KV blocks that it would keep, by the price of a block.
        share: Part of the KV cache that all searches on the engine may keep.
        decide: Returns the decision at a price per block; at 0 blocks are free.
    """

    demand: KVDemand
    share: float
    decide: Callable[[float], Decision]


class SearchPolicy(Parameters):
    """Decides which tree nodes to continue: parameters, and a pure function of the tree.

    Attributes:
        holds_finished: Finished nodes are sent on at the end, `Decision.copies` times each;
            otherwise as soon as they are there.
        plays_out: An expansion is asked for to the end of the solution, in one request, and cut
            into steps, each a tree node; the solution is scored, and its reward is theirs.
    """

    holds_finished: ClassVar[bool] = False
    plays_out: ClassVar[bool] = False

    @property
    def by_level(self) -> bool:
        """Asked only when nothing is running, and so sees whole levels; else after every score."""
        return True

    @property
    def logprobs(self) -> int:
        """Candidates per token whose log-probabilities the policy needs, for `prior`."""
        return 0

    @property
    def step_embedder(self) -> str:
        """The run's engine that embeds unfinished steps, for `SearchTree.embeddings`; or empty."""
        return ""

    def bid(self, tree: SearchTree) -> Bid | None:
        """Return what the policy bids for KV blocks before it decides; None where it bids nothing.

        Where it bids, the driver asks the market for the price at which all searches fit, and the
        bid, in place of `decide`, for the decision at that price.

        Args:
            tree: Not to be changed.
        """
        return None

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Return what to do next, as if KV blocks were free.

        No expansion while nothing runs ends the search.

        Args:
            tree: Not to be changed.
            rng: The only source of chance; the same tree gets the same draws.
        """
        raise NotImplementedError
