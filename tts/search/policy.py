"""What a search policy is asked, and what it may answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from tts.search.tree import SearchTree


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy wants next.

    Attributes:
        expand: (open tree node, number of children to add), in the order of submission.
        prune: Reason by tree node to be given up, running ones included.
        copies: How often a finished node counts, where that is not once.
        notes: For the trace: why.
    """

    expand: tuple[tuple[int, int], ...] = ()
    prune: Mapping[int, str] = field(default_factory=dict)
    copies: Mapping[int, int] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


class SearchPolicy(BaseModel):
    """Decides which tree nodes to continue: parameters, and a pure function of the tree.

    Attributes:
        holds_finished: Finished nodes are sent on at the end, `Decision.copies` times each;
            otherwise as soon as they are there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    holds_finished: ClassVar[bool] = False

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

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Return what to do next; no expansion while nothing runs ends the search.

        Args:
            tree: Not to be changed.
            rng: The only source of chance; the same tree gets the same draws.
        """
        raise NotImplementedError
