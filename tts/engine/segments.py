"""Segments of a KV cache that queries see from several places: pages, lengths, slots.

Beside vLLM's own cache, whose keys carry the places of one context. What a segment is, and how it
is attended to, stands in `tts.kernels.views`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

PAGE_TOKENS = 16
_FIRST_PAGES = 64


@dataclass(frozen=True, slots=True)
class CacheForm:
    """What a cache is made of.

    Attributes:
        layers: Number of layers.
        kv_heads: Hkv.
        head_size: D.
        dtype: Of keys and values.
        device: Where they lie.
    """

    layers: int
    kv_heads: int
    head_size: int
    dtype: torch.dtype
    device: torch.device

    def pages(self, number: int) -> Tensor:
        """Return pages of one layer, [number, Hkv, N, 2 * D]; what no token has filled is 0."""
        sizes = (number, self.kv_heads, PAGE_TOKENS, 2 * self.head_size)
        return torch.zeros(sizes, dtype=self.dtype, device=self.device)


@dataclass(slots=True)
class _Segment:
    pages: list[int] = field(default_factory=list)
    length: int = 0


class Segments:
    """Hands out pages to segments; there are as many as are asked for, as far as memory goes."""

    def __init__(self, form: CacheForm) -> None:
        self._form = form
        self._held: dict[int, _Segment] = {}
        self._next = 0
        self._free: list[int] = []
        self.caches: list[Tensor] = [form.pages(0) for _ in range(form.layers)]

    @property
    def num_pages(self) -> int:
        """Pages that segments hold."""
        return sum(len(segment.pages) for segment in self._held.values())

    def open(self) -> int:
        """Return the name of a new segment without tokens."""
        self._next += 1
        self._held[self._next] = _Segment()
        return self._next

    def length(self, name: int) -> int:
        """Return the tokens of a segment."""
        return self._held[name].length

    def extend(self, name: int, count: int) -> list[int]:
        """Make room for further tokens of a segment; returns their slots, page * N + offset."""
        segment = self._held[name]
        first, segment.length = segment.length, segment.length + count
        while len(segment.pages) * PAGE_TOKENS < segment.length:
            if not self._free:
                self._grow()
            segment.pages.append(self._free.pop())
        return [
            segment.pages[place // PAGE_TOKENS] * PAGE_TOKENS + place % PAGE_TOKENS
            for place in range(first, segment.length)
        ]

    def close(self, names: Sequence[int]) -> None:
        """Give the pages of segments back."""
        for name in names:
            self._free += self._held.pop(name).pages

    def table(self, names: Sequence[int]) -> Tensor:
        """Return the pages of segments, [segments, most pages] int32."""
        rows = [self._held[name].pages for name in names]
        longest = max(map(len, rows), default=0)
        padded = [row + [0] * (longest - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.int32, device=self._form.device)

    def _grow(self) -> None:
        size = len(self.caches[0])
        more = max(_FIRST_PAGES, size)
        self.caches = [torch.cat((cache, self._form.pages(more))) for cache in self.caches]
        self._free = list(range(size + more - 1, size - 1, -1))
