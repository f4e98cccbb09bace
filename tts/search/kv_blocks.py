"""KV blocks by content: which full blocks two token sequences share.

A full block is shared exactly when the whole token prefix up to its end is equal, which is how
vLLM's prefix cache decides. The last, partly filled block of a sequence is always its own.
"""

from collections import defaultdict
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
        self._extended: dict[tuple[int, tuple[int, ...]], tuple[int, tuple[int, ...]]] = {}
        self._parents: list[int] = []

    def extend(self, block: int, tokens: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """Append tokens after a full block.

        Args:
            block: The last full block before the tokens; `NO_BLOCK` at the beginning.
            tokens: What follows it.

        Returns:
            The last full block now, and the tokens that fill no block.
        """
        asked = block, tuple(tokens)  # equal steps after equal prefixes are the rule in a search
        if asked not in self._extended:
            self._extended[asked] = self._append(*asked)
        return self._extended[asked]

    def _append(self, block: int, tokens: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        size, ids, parents = self.block_size, self._ids, self._parents
        end = len(tokens) // size * size  # full blocks alone
        for start in range(0, end, size):
            held = block, tokens[start : start + size]
            before, block = block, ids.setdefault(held, len(parents))
            if block == len(parents):
                parents.append(before)
        return block, tokens[end:]

    def count(self, blocks: Iterable[int]) -> int:
        """Return the number of distinct blocks on the ways from the beginning to `blocks`."""
        return len(self._on_ways(blocks))

    def parent(self, block: int) -> int:
        """Return the block before another; `NO_BLOCK` before the first."""
        return self._parents[block]

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


class LiveBlocks:
    """Counts the distinct blocks of a set of sequences that changes little at a time.

    Args:
        trie: Where the blocks hang.
    """

    def __init__(self, trie: BlockTrie) -> None:
        self._trie = trie
        self._last: dict[int, int] = {}
        self._uses: defaultdict[int, int] = defaultdict(int)
        self._count = 0

    def count(self, last: dict[int, int]) -> int:
        """Return the number of distinct blocks on the ways to the last blocks of all sequences.

        Args:
            last: The last full block by sequence; `NO_BLOCK` without one.
        """
        for _, block in last.items() - self._last.items():
            self._take(block)
        for _, block in self._last.items() - last.items():
            self._drop(block)
        self._last = last
        return self._count

    def _take(self, block: int) -> None:
        """Count one more use of a block: by a sequence that ends there or a block after it."""
        while block != NO_BLOCK:
            self._uses[block] += 1
            if self._uses[block] > 1:
                return
            self._count += 1
            block = self._trie.parent(block)

    def _drop(self, block: int) -> None:
        while block != NO_BLOCK:
            self._uses[block] -= 1
            if self._uses[block] > 0:
                return
            self._count -= 1
            block = self._trie.parent(block)


def reusable_tokens(prompt_tokens: int, block_size: int) -> int:
    """Return how many tokens of a prompt a prefix cache can give at most.

    Whole blocks only, and the last token is always computed again, since its output is needed.
    """
    return max(0, prompt_tokens - 1) // block_size * block_size
