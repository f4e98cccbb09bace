"""KV blocks by content: which full blocks two token sequences share.

A full block is shared exactly when the whole token prefix up to its end is equal, which is how
vLLM's prefix cache decides. The last, partly filled block of a sequence is always its own.
"""

from collections.abc import Iterable, Sequence

NO_BLOCK = -1


class BlockTrie:
    """Numbers full KV blocks, so that equal prefixes have equal numbers.

    Args:
        block_size: Tokens per KV block.
    """

    def __init__(self, block_size: int) -> None:
        if block_size < 1:
            raise ValueError(f"a KV block holds at least one token, got {block_size}")
        self.block_size = block_size
        self._ids: dict[tuple[int, tuple[int, ...]], int] = {}
        self._parents: list[int] = []

    def extend(self, block: int, tokens: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """Append tokens after a full block.

        Args:
            block: The last full block before the tokens; `NO_BLOCK` at the beginning.
            tokens: What follows it.

        Returns:
            The last full block now, and the tokens that fill no block.
        """
        size = self.block_size
        full = len(tokens) // size * size
        for start in range(0, full, size):
            block = self._intern(block, tuple(tokens[start : start + size]))
        return block, tuple(tokens[full:])

    def count(self, blocks: Iterable[int]) -> int:
        """Return the number of distinct blocks on the ways from the beginning to `blocks`."""
        return len(self._on_ways(blocks))

    def before(self, blocks: Iterable[int]) -> dict[int, int]:
        """Return the blocks on the ways to `blocks`, each with the one before it, in their order.

        The order puts each block after the one before it; `NO_BLOCK` is before the first.
        """
        return {block: self._parents[block] for block in sorted(self._on_ways(blocks))}

    def _on_ways(self, blocks: Iterable[int]) -> set[int]:
        seen: set[int] = set()
        for block in blocks:
            while block != NO_BLOCK and block not in seen:
                seen.add(block)
                block = self._parents[block]
        return seen

    def _intern(self, parent: int, tokens: tuple[int, ...]) -> int:
        key = (parent, tokens)
        block = self._ids.get(key)
        if block is None:
            block = self._ids[key] = len(self._parents)
            self._parents.append(parent)
        return block


def reusable_tokens(prompt_tokens: int, block_size: int) -> int:
    """Return how many tokens of a prompt a prefix cache can give at most.

    Whole blocks only, and the last token is always computed again, since its output is needed.
    """
    return max(0, prompt_tokens - 1) // block_size * block_size
