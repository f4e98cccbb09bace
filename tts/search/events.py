"""What a tree search writes into the trace, and how a recorded one is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True)
class Held:
    """What the live leaves and their ancestors hold, a running leaf with its prompt alone.

    Attributes:
        blocks: KV blocks of the engine's size; equal prefixes share theirs.
        tokens: The same with blocks of one token.
        node_tokens: Tokens of the tree nodes, each once: the literature's KV size, in which equal
            steps of different nodes share nothing.
    """

    blocks: int
    tokens: int
    node_tokens: int


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision of a search.

    Attributes:
        before: What was held before its pruning.
        kept: What is held after it.
        expand: (tree node, number of children), in the order of submission.
        notes: The policy's own.
    """

    KIND: ClassVar[str] = "decide"

    before: Held
    kept: Held
    expand: tuple[tuple[int, int], ...]
    notes: Mapping[str, Any]

    def to_values(self) -> dict[str, Any]:
        """Return the event's details, as JSON values."""
        return {
            "kv_blocks": self.before.blocks,
            "kv_blocks_kept": self.kept.blocks,
            "kv_tokens": self.before.tokens,
            "kv_tokens_kept": self.kept.tokens,
            "kv_node_tokens": self.before.node_tokens,
            "kv_node_tokens_kept": self.kept.node_tokens,
            "expand": [list(pair) for pair in self.expand],
            **self.notes,
        }

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Return the decision that a line of a trace holds, without its notes."""
        return cls(
            before=Held(values["kv_blocks"], values["kv_tokens"], values["kv_node_tokens"]),
            kept=Held(
                values["kv_blocks_kept"], values["kv_tokens_kept"], values["kv_node_tokens_kept"]
            ),
            expand=tuple((node, count) for node, count in values["expand"]),
            notes={},
        )
