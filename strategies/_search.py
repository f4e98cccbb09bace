"""What all tree searches share: parameters, and how their solutions become an answer."""

from collections.abc import Hashable, Sequence
from typing import Literal

from pydantic import Field

from tts.operators.select import select
from tts.operators.tree_search import tree_search
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.search.options import SearchParameters
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import NodeState, SearchTree

ENOUGH = "enough solutions"
Choice = Literal["weighted_vote", "vote", "best"]


class SearchConfig(SearchParameters):
    """Parameters of a tree search besides its policy's."""

    choose: Choice = Field("weighted_vote", description="how the solutions become one answer")


def build_search(
    config: SearchConfig, policy_type: type[SearchPolicy], *, lookahead: int = 0
) -> Pipeline:
    """Return the search with the policy whose parameters `config` holds, and the choice after."""
    parameters = config.model_dump(include=set(policy_type.model_fields))
    search = tree_search(
        policy=policy_type.model_validate(parameters),
        lookahead=lookahead,
        **{name: getattr(config, name) for name in SearchParameters.model_fields},
    )
    return search >> _choice(config)


def num_finished(tree: SearchTree) -> int:
    """Return the number of solutions found."""
    return len(tree.with_state(NodeState.FINISHED))


def num_solutions(tree: SearchTree) -> int:
    """Return the number of different solutions found; equal texts are one."""
    return len({tree.prefix(int(node)) for node in tree.with_state(NodeState.FINISHED)})


def by_widths(
    leaves: Sequence[int],
    widths: Sequence[int],
    *,
    reason: str,
    warnings: tuple[str, ...] = (),
    doubt: str = "",
    **notes: object,
) -> Decision:
    """Expand each leaf by its width, give up those of width 0."""
    pairs = list(zip(leaves, widths, strict=True))
    return Decision(
        expand=tuple((leaf, width) for leaf, width in pairs if width),
        prune={leaf: reason for leaf, width in pairs if not width},
        warnings=warnings,
        doubt=doubt,
        notes=notes,
    )


def merge_equal(tree: SearchTree, leaves: Sequence[int], widths: Sequence[int]) -> list[int]:
    """Give the widths of leaves with equal token prefixes to the first of them.

    Children of equal prefixes are drawn from one distribution, so that the search stays the same
    in distribution, while one prefix is held where several were.
    """
    merged = [0] * len(leaves)
    for first, width in zip(first_of_equal(tree, leaves), widths, strict=True):
        merged[first] += width
    return merged


def first_of_equal(tree: SearchTree, leaves: Sequence[int]) -> list[int]:
    """Return, for each leaf, the place of the first leaf with the same token prefix."""
    first_by_prefix: dict[Hashable, int] = {}
    return [
        first_by_prefix.setdefault(tree.token_key(leaf), place) for place, leaf in enumerate(leaves)
    ]


def stop_searching(tree: SearchTree, reason: str = ENOUGH) -> Decision:
    """Give up whatever is open or running."""
    return Decision(prune={int(node): reason for node in tree.live_leaves()})


def spread(width: int, parts: int) -> list[int]:
    """Share out `width` evenly, the first parts getting what is left over."""
    return [width // parts + (part < width % parts) for part in range(parts)]


def _choice(config: SearchConfig) -> Pipeline:
    if config.choose == "best":
        return select(by=config.verifier)
    return vote(weights=config.verifier if config.choose == "weighted_vote" else None)
