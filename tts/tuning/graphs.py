"""Graphs of several models: which models, in which roles, who reads whom.

Source: "Generalizing Test-time Compute-optimal Scaling as an Optimizable Graph", 2025,
arXiv:2511.00086 (Agent-REINFORCE): nodes solve or revise, edges pass solutions on, a last node
decides; the models of a graph spend a budget of units. A node without an edge towards the last one
is dropped. What a graph is drawn from is in `reinforce.py`.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tts.tuning.models import LAST, Slot
from tts.tuning.space import Point


@dataclass(frozen=True)
class Graph:
    """One graph.

    Attributes:
        slots: Its nodes, each after those that it may read.
        edges: Who reads whom: (source, reader); the reader may be `LAST`.
        revisers: Nodes that check and choose among what they read; the others merge it.
    """

    slots: tuple[Slot, ...]
    edges: frozenset[tuple[Slot, Slot]]
    revisers: frozenset[Slot] = frozenset()

    @cached_property
    def kept(self) -> tuple[Slot, ...]:
        """Nodes from which a path leads to the last one."""
        reaching = {LAST}
        for slot in reversed(self.slots):
            if any((slot, reader) in self.edges for reader in reaching):
                reaching.add(slot)
        return tuple(slot for slot in self.slots if slot in reaching)

    def sources(self, reader: Slot) -> list[Slot]:
        """Return the nodes that a node reads."""
        return [slot for slot in self.kept if (slot, reader) in self.edges]

    def pipeline(self) -> dict[str, Any]:
        """Return it as a preset's `pipeline:` block."""
        nodes = {_name(slot): self._node(slot) for slot in self.kept}
        last = [_name(source) for source in self.sources(LAST)]
        return {**nodes, "decide": {"operator": "fuse", "from": last, "into": "choice"}}

    def point(self, folder: Path) -> Point:
        """Write it as a preset file of the folder, and return that preset as it is."""
        text = json.dumps({"pipeline": self.pipeline()}, indent=1)
        name = hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
        path = folder / f"graph-{name}.yaml"  # JSON is YAML, too
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
        return Point(str(path))

    def _node(self, slot: Slot) -> dict[str, Any]:
        sources = [_name(source) for source in self.sources(slot)]
        engine, _ = slot
        if sources:
            into = "choice" if slot in self.revisers else "solution"
            node = {"operator": "fuse", "from": sources, "into": into}
            return {**node, "engine": engine} if engine else node
        if engine:
            return {"operator": "delegate", "engine": engine, "body": {"draw": _SAMPLE}}
        return dict(_SAMPLE)


_SAMPLE = {"operator": "sample"}


def _name(slot: Slot) -> str:
    engine, number = slot
    return f"{engine or 'own'}_{number}"
