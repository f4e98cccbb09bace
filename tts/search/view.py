"""A search tree for people: as JSON, indented text, Mermaid or SVG.

`to_json` is what a trace keeps; the drawings are made of that, so that a recorded search can be
drawn like a running one.
"""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tts.search.tree import NodeState, SearchTree

_COLOURS = {
    "root": "#e5e7eb",
    "running": "#fde68a",
    "open": "#bfdbfe",
    "finished": "#86efac",
    "pruned": "#f3f4f6",
    "failed": "#fca5a5",
}
_SHORT = 40  # characters of a step that a drawing shows
_COLUMN, _ROW, _BOX = 190, 34, 26  # of the SVG, in pixels
View = Mapping[str, Any]


def to_json(tree: SearchTree) -> dict[str, Any]:
    """Return the tree as JSON values, node by node, parents before children."""
    columns = zip(
        tree.parent.tolist(),
        tree.depth.tolist(),
        tree.state.tolist(),
        tree.reward.tolist(),
        tree.visits.tolist(),
        tree.value.tolist(),
        (tree.end - tree.start).tolist(),
        (-(-tree.end // tree.blocks.block_size)).tolist(),
        strict=True,
    )
    return {
        "block_size": tree.blocks.block_size,
        "nodes": [
            {
                "index": index,
                "parent": parent,
                "depth": depth,
                "state": NodeState(state).name.lower(),
                "reward": None if math.isnan(reward) else round(reward, 4),
                "visits": visits,
                "value": round(value / visits, 4) if visits else None,
                "tokens": tokens,
                "kv_blocks": blocks,
                "reason": tree.reasons.get(index, ""),
                "text": tree.texts[index],
                **({"memory": tree.memories[index]} if index in tree.memories else {}),
            }
            for index, (parent, depth, state, reward, visits, value, tokens, blocks) in enumerate(
                columns
            )
        ],
    }


def to_text(view: View) -> str:
    """Draw the tree with one line for each node."""
    lines: list[str] = []

    def draw(index: int, indent: str, branch: str) -> None:
        lines.append(f"{indent}{branch}{_title(view['nodes'][index])}")
        below = children[index]
        deeper = indent + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for child in below:
            draw(child, deeper, "└─ " if child == below[-1] else "├─ ")

    children = _children(view)
    draw(0, "", "")
    return "\n".join(lines)


def to_mermaid(view: View) -> str:
    """Draw the tree as a Mermaid flowchart; colours say what became of each node."""
    lines = ["flowchart LR"]
    for node in view["nodes"]:
        label = _title(node).replace('"', "#quot;").replace("\\", "#92;")
        lines.append(f'  n{node["index"]}["{label}"]:::{_kind(node)}')
    lines += [f"  n{n['parent']} --> n{n['index']}" for n in view["nodes"] if n["parent"] >= 0]
    lines += [f"  classDef {name} fill:{colour}" for name, colour in _COLOURS.items()]
    return "\n".join(lines)


def to_svg(view: View) -> str:
    """Draw the tree as an SVG picture, the root on the left, one column for each depth."""
    children = _children(view)
    rows: dict[int, float] = {}
    num_leaves = 0
    for index in _post_order(children):
        below = children[index]
        if below:
            rows[index] = (rows[below[0]] + rows[below[-1]]) / 2
        else:
            rows[index] = float(num_leaves)
            num_leaves += 1
    nodes: Sequence[View] = view["nodes"]
    width = _COLUMN * (1 + max(node["depth"] for node in nodes))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_ROW * num_leaves}" '
        'font-family="sans-serif" font-size="11">'
    ]
    for node in nodes:
        if node["parent"] >= 0:
            x, y = node["depth"] * _COLUMN, _middle(rows[node["index"]])
            start = _middle(rows[node["parent"]])
            parts.append(f'<path d="M{x - 20} {start:g} L{x} {y:g}" stroke="#9ca3af" fill="none"/>')
    parts += [_box(node, rows[node["index"]]) for node in nodes]
    return "\n".join([*parts, "</svg>"])


def _title(node: View) -> str:
    if node["parent"] < 0:
        return f"prompt, {node['tokens']} tokens"
    shown = _shorten(str(node["text"]))
    memory = f" + {_shorten(str(node['memory']))}" if "memory" in node else ""
    score = "" if node["reward"] is None else f" {node['reward']:.2f}"
    fate = f" ({node['reason']})" if node["reason"] else ""
    return f"{node['index']} {node['state']}{score} [{node['tokens']}] {shown}{memory}{fate}"


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def _kind(node: View) -> str:
    return "root" if node["parent"] < 0 else str(node["state"])


def _children(view: View) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in view["nodes"]]
    for node in view["nodes"]:
        if node["parent"] >= 0:
            children[node["parent"]].append(node["index"])
    return children


def _post_order(children: Sequence[Sequence[int]]) -> list[int]:
    order, waiting = [], [0]
    while waiting:
        index = waiting.pop()
        order.append(index)
        waiting.extend(children[index])
    return order[::-1]


def _middle(row: float) -> float:
    return row * _ROW + _ROW / 2


def _box(node: View, row: float) -> str:
    x, y = node["depth"] * _COLUMN, row * _ROW + (_ROW - _BOX) / 2
    title = html.escape(_title(node))
    shown = title if node["parent"] < 0 else html.escape(_title(node)[:28])
    return (
        f'<g><title>{title}</title><rect x="{x}" y="{y:g}" width="{_COLUMN - 20}" '
        f'height="{_BOX}" rx="4" fill="{_COLOURS[_kind(node)]}" stroke="#9ca3af"/>'
        f'<text x="{x + 6}" y="{y + 17:g}">{shown}</text></g>'
    )
