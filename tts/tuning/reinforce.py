"""Draws graphs of models and learns which to draw: REINFORCE over counts, roles and edges.

Source: "Generalizing Test-time Compute-optimal Scaling as an Optimizable Graph", 2025,
arXiv:2511.00086: all counts of models that leave the least of the budget unspent; edges with
probability 0.119, at least one into the last node; where all that a node reads are solutions it
revises with 0.5 more, and a node that reads a revision never does.

Departures: the update is the policy gradient itself (their baseline), where the published agent has
a language model write the next graph; graphs are drawn from the table, which that agent only shows;
edges lead from cheap models to dear ones, so that no graph has a circle; every trial is an update,
on as many problems as trials begin with (there 3); chances stay within 0.02 and 0.98; and what is
returned is the best graph on held-out problems, where the source returns the last.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tts.tuning.graphs import Graph
from tts.tuning.models import LAST, Models, Slot
from tts.tuning.propose import MAX_REPEATS
from tts.tuning.space import Point
from tts.tuning.trial import Trial

_EDGE = 1 / (1 + math.exp(2))  # sigmoid(-2) = 0.119
_TO_LAST = 0.5
_REVISES = 0.5  # added where all that is read are solutions
_LOWEST, _HIGHEST = 0.02, 0.98
_RATE = 0.5  # of a step in logits, for an advantage of one standard deviation


@dataclass(frozen=True, slots=True)
class Draw:
    """A graph, and what was decided on the way to it.

    Attributes:
        graph: It.
        counts: Index of the counts of models.
        chosen: What was drawn of each chance: an edge, or the role of a node; and with which.
    """

    graph: Graph
    counts: int
    chosen: Mapping[tuple[Slot, ...], tuple[bool, float]]


@dataclass(slots=True)
class Chances:
    """What graphs are drawn from.

    Attributes:
        models: Of the nodes.
        counts: Logit of each of the counts.
        logits: Of edges, by source and reader, and of roles, by their node; as at first if missing.
    """

    models: Models
    counts: list[float] = field(default_factory=list)
    logits: dict[tuple[Slot, ...], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with even counts."""
        self.counts = self.counts or [0.0] * len(self.models.counts())

    def chance(self, what: tuple[Slot, ...]) -> float:
        """Return the chance of an edge, or that a node which reads solutions revises."""
        if what in self.logits:
            return 1 / (1 + math.exp(-self.logits[what]))
        if len(what) == 1:
            return _REVISES
        return _TO_LAST if what[1] == LAST else _EDGE

    def draw(self, draws: random.Random) -> Draw:
        """Return a graph."""
        shares = [math.exp(logit) for logit in self.counts]
        (index,) = draws.choices(range(len(shares)), shares)
        slots = self.models.slots(self.models.counts()[index])
        chosen: dict[tuple[Slot, ...], tuple[bool, float]] = {}

        def decide(what: tuple[Slot, ...]) -> bool:
            chance = self.chance(what)
            chosen[what] = draws.random() < chance, chance
            return chosen[what][0]

        edges = {
            (source, reader)
            for place, reader in enumerate((*slots, LAST))
            for source in slots[:place]
            if decide((source, reader))
        }
        if not any(reader == LAST for _, reader in edges):
            edges.add((slots[-1], LAST))  # of the dearest model
        revisers = set[Slot]()
        for slot in slots:
            read = [source for source, reader in edges if reader == slot]
            if read and revisers.isdisjoint(read) and decide((slot,)):
                revisers.add(slot)
        return Draw(Graph(slots, frozenset(edges), frozenset(revisers)), index, chosen)

    def learn(self, drawn: Draw, advantage: float) -> None:
        """Make what was drawn likelier, by its advantage in standard deviations, or less so.

        The gradient of a draw's log-probability is x - p for each chance's logit, and 1 - p or -p
        for those of the counts.
        """
        step = _RATE * advantage
        shares = [math.exp(logit) for logit in self.counts]
        for index, share in enumerate(shares):
            self.counts[index] += step * ((index == drawn.counts) - share / sum(shares))
        for what, (is_drawn, chance) in drawn.chosen.items():
            moved = _logit(self.chance(what)) + step * (is_drawn - chance)
            self.logits[what] = min(max(moved, _logit(_LOWEST)), _logit(_HIGHEST))


class GraphProposer:
    """Proposes graphs of models.

    Args:
        models: Of the nodes.
        seed: Of what is drawn.
        folder: Holds the graphs, each a preset file.
        learns: Update what is drawn from; else all graphs are drawn alike, to compare with.
    """

    def __init__(self, models: Models, seed: int, *, folder: Path, learns: bool) -> None:
        self._chances, self._draws = Chances(models), random.Random(seed)
        self._folder, self._learns = folder, learns
        self._open: dict[Point, Draw] = {}
        self._scores: list[float] = []

    @property
    def notes(self) -> list[str]:
        """Where the chances have gone."""
        if not self._learns:
            return []
        pairs = [(self._chances.chance(what), what) for what in self._chances.logits]
        edges = sorted(((p, w) for p, w in pairs if len(w) == 2), reverse=True)[:5]
        return ["likeliest edges: " + ", ".join(f"{_words(w)} {p:.2f}" for p, w in edges)]

    async def propose(self) -> Point | None:
        """Return a graph that was not tried."""
        for _ in range(MAX_REPEATS):
            drawn = self._chances.draw(self._draws)
            point = drawn.graph.point(self._folder)
            if point not in self._open:
                self._open[point] = drawn
                return point
        return None

    def tell(self, trial: Trial, score: float) -> None:
        """Learn from a score, against the mean of those before, in their standard deviations."""
        if trial.point not in self._open:
            return
        before = self._scores
        if self._learns and before:
            mean = math.fsum(before) / len(before)
            spread = math.sqrt(math.fsum((one - mean) ** 2 for one in before) / len(before))
            advantage = (score - mean) / max(spread, 0.05)
            self._chances.learn(self._open[trial.point], max(-2.0, min(2.0, advantage)))
        self._scores.append(max(score, 0.0))


def _logit(chance: float) -> float:
    return math.log(chance / (1 - chance))


def _words(edge: tuple[Slot, ...]) -> str:
    names = ("decide" if slot == LAST else f"{slot[0] or 'own'}_{slot[1]}" for slot in edge)
    return "->".join(names)
