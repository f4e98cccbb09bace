"""What all tree searches share: parameters, and how their solutions become an answer."""

from collections.abc import Hashable, Sequence
from typing import Literal

from pydantic import Field

from tts.operators.select import select
from tts.operators.tree_search import TreeSearch
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.search.policy import Decision, SearchPolicy
from tts.search.recall import Association
from tts.search.step_scores import Reduction
from tts.search.tree import NodeState, SearchTree
from tts.strategies._base import StrategyConfig

ENOUGH = "enough solutions"
Choice = Literal["weighted_vote", "vote", "best"]


class SearchConfig(StrategyConfig, Association):
    """Parameters of a tree search besides its policy's."""

    verifier: str = Field("prm", description="scores partial solutions")
    reduction: Reduction = Field("last", description="how step scores become a reward")
    choose: Choice = Field("weighted_vote", description="what makes an answer of the solutions")
    step_tokens: int = Field(256, ge=1, description="a step that is longer is cut into several")
    max_depth: int = Field(40, ge=1, description="steps; the last one runs to the end")


def build_search(
    config: SearchConfig, policy_type: type[SearchPolicy], *, lookahead: int = 0
) -> Pipeline:
    """Return the search with the policy whose parameters `config` holds, and the choice after."""
    parameters = config.model_dump(include=set(policy_type.model_fields))
    search = TreeSearch(
        policy=policy_type.model_validate(parameters),
        verifier=config.verifier,
        reduction=config.reduction,
        step_tokens=config.step_tokens,
        max_depth=config.max_depth,
        lookahead=lookahead,
        **{name: getattr(config, name) for name in Association.model_fields},
    )
    return Pipeline.of(search) >> _choice(config)


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
    **notes: object,
) -> Decision:
    """Expand each leaf by its width, give up those of width 0."""
    pairs = list(zip(leaves, widths, strict=True))
    return Decision(
        expand=tuple((leaf, width) for leaf, width in pairs if width),
        prune={leaf: reason for leaf, width in pairs if not width},
        warnings=warnings,
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
        return select(config.verifier)
    return vote(weights=config.verifier if config.choose == "weighted_vote" else None)
