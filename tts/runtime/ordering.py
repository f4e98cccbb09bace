"""In which order jobs run: those whose prompts share a long beginning, one after the other.

A document or a block of examples that several problems begin with is read once, as long as its KV
blocks stay in the cache until the last of them has started. So problems are grouped by the tree of
their beginnings (BatchLLM, Zheng et al. 2024, arXiv:2412.03594); else they keep the caller's order,
and a group comes where its first member stood. What all problems of a run share groups nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tts.runtime.job import Job

_BLOCK = 64  # characters, about as many as a KV block of 16 tokens holds
_LEAST = 16 * _BLOCK  # of a shared beginning that is worth another order: some 256 tokens
_BYTES_PER_TOKEN = 4  # of English text, about


@dataclass(frozen=True, slots=True)
class Placed:
    """A job in its place.

    Attributes:
        job: It has the priority that the one in this place was given.
        group: A hash of how the group begins.
        shared_tokens: Of the beginning of the whole group; 0 for a job that is alone in it.
        own_tokens: Of the rest of its prompt, about.
    """

    job: Job
    group: int
    shared_tokens: int
    own_tokens: int


def in_order(jobs: Sequence[Job]) -> list[Placed]:
    """Return jobs in the order in which they should run.

    Those of pipelines that learn from one problem to the next keep theirs.
    """
    texts = [_text(job) for job in jobs]
    priorities, placed = sorted(job.priority for job in jobs), list[Placed]()
    is_fixed = any(job.pipeline.batch for job in jobs)
    alone = [([index], 0) for index in range(len(jobs))]
    for members, shared in alone if is_fixed else group_by_beginning(texts):
        group = hash(texts[members[0]][:shared])
        for index in members:
            job = replace(jobs[index], priority=priorities[len(placed)])
            own = (len(texts[index]) - shared) // _BYTES_PER_TOKEN
            placed.append(Placed(job, group, shared // _BYTES_PER_TOKEN, own))
    return placed


def group_by_beginning(texts: Sequence[str]) -> list[tuple[list[int], int]]:
    """Group texts that share a long beginning.

    Within a group those that share more stand together, too. Groups, and what is within them, keep
    the order in which each first appears.

    Returns:
        For each group its members, and how many characters they share.
    """
    order = sorted(range(len(texts)), key=texts.__getitem__)
    shared = [0, *(_shared(texts[a], texts[b]) for a, b in pairwise(order))]
    # A depth-first walk of the tree: what it is within, from the root, with the children so far.
    open_nodes: list[tuple[int, list[tuple[list[int], int]]]] = [(0, [])]
    for index, depth in zip([*order, None], [*shared[: len(order)], 0], strict=True):
        while open_nodes[-1][0] > depth:
            deep, children = open_nodes.pop()
            if open_nodes[-1][0] < depth:
                open_nodes.append((depth, []))
            open_nodes[-1][1].append((_joined(children), deep))
        if index is None:
            break
        if open_nodes[-1][0] < depth:
            open_nodes.append((depth, [open_nodes[-1][1].pop()]))
        open_nodes[-1][1].append(([index], 0))
    return sorted(open_nodes[0][1])


def _joined(children: Sequence[tuple[list[int], int]]) -> list[int]:
    return [index for members, _ in sorted(children) for index in members]


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts share from their beginning, in whole blocks."""
    low, high = 0, min(len(one), len(other)) // _BLOCK
    while low < high:
        middle = (low + high + 1) // 2
        if one[: middle * _BLOCK] == other[: middle * _BLOCK]:
            low = middle
        else:
            high = middle - 1
    return low * _BLOCK if low * _BLOCK >= _LEAST else 0


def _text(job: Job) -> str:
    """Return what a job's prompts begin with, but for what all problems of its preset have."""
    problem = job.problem
    turns = "".join(f"{message.role}\0{message.content}\0" for message in problem.messages)
    return turns or problem.statement
