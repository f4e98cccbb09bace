"""The mean key of each full KV page, from the keys on their way into the cache.

vLLM's CPU cache stores keys transposed or packed, so they are summed as they come. A page that a
step leaves incomplete keeps its sum in fp32 until it is full; a full page keeps its mean in the
cache's own precision: 1 / (2 * N) of the cache for pages of N tokens, beside one row of fp32 for
each page that is being filled. Incomplete pages need no mean: they are the last of their context,
and always selected.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class KeySlots:
    """Where the keys of a step go: the same in all layers.

    Attributes:
        tokens: Which tokens are real; all of them unless some are padding.
        index: [T] int64, which of the step's P pages each real token is in.
        num_pages: P.
        carried: [C] int64 twice: pages (of the P) that earlier steps began, and their open rows.
        left: [L] int64 twice: pages that this step leaves incomplete, and their open rows.
        full: [F] int64 twice: pages that this step fills, and their places in the cache.
    """

    tokens: slice | Tensor
    index: Tensor
    num_pages: int
    carried: tuple[Tensor, Tensor]
    left: tuple[Tensor, Tensor]
    full: tuple[Tensor, Tensor]


class OpenPages:
    """Which pages are incomplete between steps, and the row in which each layer sums their keys.

    A request has at most one; those of requests that ended are forgotten when their rows are
    needed, the longest untouched first.

    Args:
        page_size: N.
        num_rows: At least the pages that one step can leave incomplete. Twice the requests that
            run at once, so that no page of a running one is forgotten.
    """

    def __init__(self, *, page_size: int, num_rows: int) -> None:
        self._page_size = page_size
        self._rows: dict[int, int] = {}
        self._free = list(range(num_rows))

    def plan(self, slot_mapping: Tensor) -> KeySlots:
        """Plan a step's sums; call once per step, in the order of the steps.

        Args:
            slot_mapping: [T] int64, page * N + offset; negative ones are padding.
        """
        real = slot_mapping >= 0
        tokens = slice(None) if bool(real.all()) else real.nonzero().flatten()
        # Python's loop, because a decode step has a handful of tokens and tensor calls cost more.
        pages: dict[int, int] = {}
        index: list[int] = []
        begun, ended = set(), set()
        for slot in slot_mapping[tokens].tolist():
            page, offset = divmod(slot, self._page_size)
            i = pages.setdefault(page, len(pages))
            index.append(i)
            if offset == 0:
                begun.add(i)
            if offset == self._page_size - 1:
                ended.add(i)
        # All of the step's pages leave the order of age before any row is taken from the oldest.
        rows = [self._rows.pop(page, None) for page in pages]
        carried, left, full = [], [], []
        for (page, i), row in zip(pages.items(), rows, strict=True):
            if row is not None and i not in begun:
                carried.append((i, row))
            if i not in ended:
                self._rows[page] = self._take() if row is None else row
                left.append((i, self._rows[page]))
                continue
            full.append((i, page))
            if row is not None:
                self._free.append(row)
        return KeySlots(
            tokens,
            torch.tensor(index, dtype=torch.int64),
            len(pages),
            _columns(carried),
            _columns(left),
            _columns(full),
        )

    def _take(self) -> int:
        return self._free.pop() if self._free else self._rows.pop(next(iter(self._rows)))


class KeyMeans:
    """The mean keys of one layer.

    Args:
        kv_cache: [num_pages, Hkv, N, 2 * D]; its shape and dtype are read, nothing else.
        num_open: Rows of the `OpenPages` that plans.
    """

    def __init__(self, kv_cache: Tensor, *, num_open: int) -> None:
        num_pages, heads, self._page_size, width = kv_cache.shape
        size = heads * width // 2
        self.means = torch.zeros(num_pages, size, dtype=kv_cache.dtype)
        self._open = torch.zeros(num_open, size)

    def add(self, key: Tensor, slots: KeySlots) -> None:
        """Take a step's keys; `means` of the pages that they fill are written.

        Args:
            key: [T, Hkv, D].
            slots: Of these T tokens.
        """
        sums = self._open.new_zeros(slots.num_pages, self._open.shape[1])
        pages, rows = slots.carried
        sums.index_copy_(0, pages, self._open.index_select(0, rows))
        sums.index_add_(0, slots.index, key[slots.tokens].flatten(1).float())
        pages, rows = slots.left
        self._open.index_copy_(0, rows, sums.index_select(0, pages))
        pages, places = slots.full
        if len(places):
            means = sums.index_select(0, pages) / self._page_size
            self.means.index_copy_(0, places, means.to(self.means.dtype))


def _columns(pairs: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    first, second = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).unbind(1)
    return first, second
