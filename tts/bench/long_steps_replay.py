"""Recorded tree searches, grown again with steps of another length.

What a search holds in the KV cache is decided by its tree and by the length of its steps. A small
model's steps are shorter than a KV block, and so often equal that the prefix cache joins them: a
scarce cache hardly hurts there. A replay expands the same nodes by as many children as a search
chose to, in the same order, while every step has a given length and no two are alike, as of a
model that writes paragraphs. What the steps say does not matter.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tts.errors import InputError
from tts.evals.stored_run import read_events
from tts.protocols import Context, VerifierSpec
from tts.search.events import Decided
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import ROOT, SearchTree
from tts.types import Score, Trajectory

Expansions = dict[int, tuple[tuple[int, int], ...]]
ENDED = "not expanded in the recording"


class Replay(SearchPolicy):
    """Expands what a search by whole levels had expanded, and gives up the rest of each level.

    Attributes:
        expansions: (tree node, number of children) of a decision, by the expansions before it.
    """

    expansions: Expansions

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Return the recorded decision; nodes that had ended, or were pruned, are given up."""
        expand = self.expansions.get(tree.num_expansions, ())
        kept = {ROOT, *(node for node, _ in expand)}
        ended = [leaf for leaf in tree.open_leaves().tolist() if leaf not in kept]
        return Decision(expand=expand, prune=dict.fromkeys(ended, ENDED))


class Unread:
    """A verifier that reads nothing; every step is worth the same."""

    @property
    def spec(self) -> VerifierSpec:
        """Needs no engine."""
        return VerifierSpec(unit_interval=True)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Return 1 for each trajectory."""
        return [Score(value=1.0) for _ in trajectories]

    async def aclose(self) -> None:
        """Free nothing."""


def load_expansions(folder: Path) -> dict[str, Expansions]:
    """Return what the searches of a run expanded, by problem.

    Args:
        folder: Of a run with one search per problem, by whole levels.

    Raises:
        StoreError: There is no trace.
        InputError: The trace has no tree search.
    """
    found: dict[str, Expansions] = {}
    for event in read_events(folder, Decided.KIND):
        expansions = found.setdefault(event["problem"], {})
        if expand := Decided.from_values(event).expand:
            expansions[sum(map(len, expansions.values()))] = expand
    if not found:
        raise InputError(f"the run in {folder} holds no tree search to replay")
    return found
