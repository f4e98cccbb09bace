"""What each sample of a run says, put together from its log and its trace."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tts.evals.pool_export import Texts
from tts.evals.records import Record, Sample
from tts.evals.stored_run import parts_of
from tts.storage.sealed_lines import read_lines

Values = Mapping[str, Any]
_BETWEEN = "\n\n"  # steps of a tree
_Place = tuple[str, int, str]  # a problem's id, its repeat, and a sample's id or a node's name


class SampleTexts:
    """The texts of a run's samples, whoever wrote them.

    A sample is one completion, or the path to a leaf of a search tree, or else what the trace says
    that it is: a text that several completions, or none alone, wrote.

    Args:
        folder: Of the run.

    Raises:
        StoreError: Its log or its trace is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._single = Texts(folder, ())
        self._wholes: dict[_Place, str] = {}
        self._trees: dict[_Place, Sequence[Values]] = {}
        self._leaves: dict[_Place, tuple[str, int]] = {}  # a tree and a node of it
        trace = parts_of(folder).trace
        for event in _of_kind(trace, "attempt"):
            self._wholes[event["problem"], event["repeat"], event["id"]] = event["text"]
        for event in _of_kind(trace, "search"):
            place = event["problem"], event["repeat"], event["node"]
            self._trees[place] = event["tree"]["nodes"]
        for event in _of_kind(trace, "step") if self._trees else ():
            place = event["problem"], event["repeat"], event["id"]
            self._leaves[place] = event["node"], int(event["tree_node"])

    def of(self, record: Record, sample: Sample) -> str | None:
        """Return what a sample says; None where the run holds no text of it.

        The steps of a tree stand with a blank line between them, whatever separated them there.
        """
        problem, repeat = record.id, record.repeat
        if (whole := self._wholes.get((problem, repeat, sample.id))) is not None:
            return whole
        leaf = self._leaves.get((problem, repeat, leaf_of(sample)))
        if leaf is not None and (tree := self._trees.get((problem, repeat, leaf[0]))):
            return _BETWEEN.join(node["text"].strip() for node in path_to(tree, leaf[1]))
        return self._single.of(record, sample).get("text")


def leaf_of(sample: Sample) -> str:
    """Return the id of the tree node that a sample of a search ends in; a copy has its first's."""
    return sample.id.partition("*")[0]


def path_to(nodes: Sequence[Values], index: int) -> list[Values]:
    """Return the nodes of a tree from the first step to a node, the prompt left out."""
    found = []
    while index > 0:
        found.append(nodes[index])
        index = nodes[index]["parent"]
    return found[::-1]


def _of_kind(trace: Path, kind: str) -> list[Values]:
    lines = read_lines(trace, holding=f'"kind":"{kind}"')
    return [line.values for line in lines if line.values["kind"] == kind]
