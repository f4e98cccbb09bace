"""Votes by class of equal answers, and the weights that they carry."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tts.protocols import AnswerGroups
from tts.types import Origin, Support, Trajectory, Usage
from tts.voting.stopping import leader_probability


@dataclass(slots=True)
class Tally:
    """Votes by class of equal answers, in the order in which classes were first seen."""

    groups: AnswerGroups
    voters: list[tuple[int, float, Trajectory]] = field(default_factory=list)

    async def add(self, trajectory: Trajectory, weight: float | None) -> int | None:
        """Count a trajectory; returns its class, None if it has no answer or no weight."""
        if weight is None:
            return None
        index = await self.groups.add(trajectory.answer)
        if index is not None:
            self.voters.append((index, weight, trajectory))
        return index

    def counts(self) -> list[int]:
        """Return the number of votes of each class."""
        counts = [0] * self._num_classes()
        for index, _, _ in self.voters:
            counts[index] += 1
        return counts

    def weights(self) -> list[float]:
        """Return the weight of each class, the same in whatever order the votes came."""
        parts: list[list[float]] = [[] for _ in range(self._num_classes())]
        for index, weight, _ in self.voters:
            parts[index].append(weight)
        return [math.fsum(part) for part in parts]

    def summary(self) -> dict[str, float]:
        """Return the weight of each class by its text."""
        return {self.groups.text(i): weight for i, weight in enumerate(self.weights())}

    def leader_text(self) -> str:
        """Return the answer that leads; empty when nobody voted."""
        return self.groups.text(self._leader()) if self.voters else ""

    def winner(
        self, node: str, *, leader: int | None = None, probability: float | None = None
    ) -> Trajectory | None:
        """Return the outcome as a trajectory; None when nobody voted.

        Args:
            node: Of the trajectory.
            leader: Class that wins, by another rule than the largest weight.
            probability: That it is right, by that rule.
        """
        if not self.voters:
            return None
        leader = self._leader() if leader is None else leader
        ranked = sorted(self.voters, key=lambda v: (v[0] != leader, v[2].origin.index, v[2].id))
        first = ranked[0][2]
        return replace(
            first,
            id=f"{node}:0",
            origin=Origin(node, 0, first.origin.seed),
            parents=tuple(t.id for _, _, t in ranked),
            usage=Usage(),
            support=self._support(leader, probability),
        )

    def _support(self, leader: int, probability: float | None) -> Support:
        counts, weights = self.counts(), self.weights()
        if probability is None:
            probability = self._probability(leader, counts, weights)
        return Support(
            votes=counts[leader],
            voters=len(self.voters),
            weight=weights[leader],
            probability=probability,
        )

    @staticmethod
    def _probability(leader: int, counts: Sequence[int], weights: Sequence[float]) -> float:
        """Return the posterior of a vote that counts, and the share of one that weighs."""
        if weights[leader] == counts[leader]:
            return leader_probability(counts)
        total = math.fsum(weights)
        return weights[leader] / total if total > 0 else 0.0

    def _num_classes(self) -> int:
        return 1 + max((index for index, _, _ in self.voters), default=-1)

    def _leader(self) -> int:
        first_voter: dict[int, tuple[int, str]] = {}
        for index, _, trajectory in self.voters:
            place = (trajectory.origin.index, trajectory.id)
            first_voter[index] = min(place, first_voter.get(index, place))
        weights = self.weights()
        return min(first_voter, key=lambda index: (-weights[index], first_voter[index]))


def rank_weights(scores: Sequence[float], power: float) -> list[float]:
    """Return Borda weights: (N - r + 1) ** power for the score of rank r, 1 the best.

    Kang et al. 2025, "Scalable Best-of-N Selection via Self-Certainty", arXiv:2502.18581. Power 0
    counts votes, a large one lets the best decide. Of equal scores the earlier ranks higher.
    """
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    weights = [0.0] * len(scores)
    for rank, i in enumerate(order, start=1):
        weights[i] = float(len(scores) - rank + 1) ** power
    return weights


def top_share(scores: Sequence[float], share: float) -> list[int]:
    """Return the indices of the best `share` of the scores, in order; at least one, ties kept.

    As the filter of DeepConf (Fu et al. 2025, arXiv:2508.15260), which keeps what reaches the
    (1 - share) quantile.
    """
    if not scores:
        return []
    ranked = sorted(scores, reverse=True)
    bar = ranked[max(1, math.ceil(share * len(scores) - 1e-9)) - 1]
    return [i for i, score in enumerate(scores) if score >= bar]
