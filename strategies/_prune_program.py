"""The integer program of a level of ETS, solved exactly.

Leaves i, their ancestors j and clusters k, all binary:

    maximise  sum_i O_i x_i - sum_i c_i x_i - sum_j c_j y_j + coverage / K * sum_k z_k
    subject to  x <= y and y <= y of the ancestor directly above;  z_k <= sum of x in k;  sum x >= 1

Without the coverage term it is a best closure of a tree, found in one pass. That closure is part
of a solution of the whole program too: to add it to any other choice loses nothing, for closures
form a lattice and coverage only grows. So the solver (HiGHS) is asked only about the clusters that
the closure leaves uncovered, and of equal leaves only about the best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.errors import optional_import

with optional_import("ets"):
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

TOP = -1


@dataclass(frozen=True)
class Program:
    """The integer program of one level.

    Attributes:
        rewards: [leaves], O.
        parents: [leaves + ancestors], place among the ancestors of the one directly above, which
            is smaller than the ancestor's own; `TOP` for the root, the first ancestor.
        costs: [leaves + ancestors], c, all of them at least 0, or none above 0.
        clusters: [leaves], cluster of each leaf; empty for no coverage term.
        coverage: Worth of covering all clusters.
    """

    rewards: NDArray[np.float64]
    parents: NDArray[np.int_]
    costs: NDArray[np.float64]
    clusters: NDArray[np.int_]
    coverage: float

    @property
    def num_leaves(self) -> int:
        """Leaves come first in `parents` and `costs`."""
        return len(self.rewards)

    @cached_property
    def num_clusters(self) -> int:
        """K; 0 without the coverage term."""
        return int(self.clusters.max()) + 1 if self.clusters.size else 0

    @cached_property
    def above(self) -> list[int]:
        """[leaves + ancestors], the row directly above each row; `TOP` above the root."""
        is_top = self.parents == TOP
        above: list[int] = np.where(is_top, TOP, self.parents + self.num_leaves).tolist()
        return above

    @cached_property
    def best(self) -> NDArray[np.float64]:
        """[leaves + ancestors], the most that a node and a choice below it bring, uncovered."""
        best = -self.costs
        best[: self.num_leaves] += self.rewards
        values: list[float] = best.tolist()
        for row in self.upwards:
            if values[row] > 0 and self.above[row] != TOP:
                values[self.above[row]] += values[row]
        return np.array(values)

    @property
    def upwards(self) -> list[int]:
        """All rows, each before the one above it: leaves, then ancestors from the last."""
        return [*range(self.num_leaves), *range(len(self.costs) - 1, self.num_leaves - 1, -1)]

    def closure(self, forced: Sequence[int] = ()) -> NDArray[np.bool_]:
        """Return [leaves + ancestors], the best choice that holds the forced rows."""
        is_in = [False] * len(self.costs)
        for row in forced:
            while row != TOP and not is_in[row]:
                is_in[row] = True
                row = self.above[row]
        for row in (*range(self.num_leaves, len(is_in)), *range(self.num_leaves)):
            above = self.above[row]
            is_in[row] |= bool(self.best[row] > 0) and (above == TOP or is_in[above])
        return np.array(is_in)

    def cost(self, kept: Sequence[int]) -> float:
        """Return what a choice of leaves costs with all that is above them."""
        needed = set()
        for row in kept:
            while row != TOP and row not in needed:
                needed.add(row)
                row = self.above[row]
        return float(self.costs[list(needed)].sum())

    def value(self, kept: Sequence[int]) -> float:
        """Return the objective for a choice of leaves, everything else following from it."""
        total = float(self.rewards[list(kept)].sum()) - self.cost(kept)
        if self.num_clusters:
            total += self.coverage * len(set(self.clusters[list(kept)])) / self.num_clusters
        return total


def solve(program: Program, *, seconds: float) -> list[int] | None:
    """Return the leaves of the best choice, ascending; None when the solver found none in time."""
    if (program.costs <= 0).all():
        return list(range(program.num_leaves))
    chosen = program.closure()
    if program.num_clusters:
        forced, undecided = _settle(program, chosen)
        chosen = program.closure([*np.flatnonzero(chosen).tolist(), *forced])
        if undecided:
            covering = _cover(program, undecided, chosen, seconds)
            if covering is None:
                return None
            chosen = program.closure([*np.flatnonzero(chosen).tolist(), *covering])
    if not chosen.any():
        chosen = program.closure([_least_loss(program)])
    kept: list[int] = np.flatnonzero(chosen[: program.num_leaves]).tolist()
    return kept


Rivals = dict[int, list[int]]


def _settle(program: Program, chosen: NDArray[np.bool_]) -> tuple[list[int], Rivals]:
    """Decide about uncovered clusters where that is plain, again after each leaf that is added.

    A cluster with one rival is covered if that pays for the whole way to it: whatever else is
    chosen only makes the way shorter. A rival whose parent is chosen, and that costs no more than
    any other by itself, is the way to cover its cluster, or shows that none is worth it.

    Returns:
        Leaves to add, and the rivals of the clusters that are not decided.
    """
    rivals = _rivals(program, chosen)
    forced: list[int] = []
    while True:
        plain = {c: _plain_verdict(program, leaves, chosen) for c, leaves in rivals.items()}
        rivals = {c: leaves for c, leaves in rivals.items() if plain[c] is None}
        added = [verdict.leaf for verdict in plain.values() if verdict and verdict.leaf is not None]
        if not added:
            return forced, rivals
        forced += added
        chosen = program.closure([*np.flatnonzero(chosen).tolist(), *added])
        still_open = _rivals(program, chosen)
        rivals = {c: still_open[c] for c in rivals if c in still_open}


class Verdict(NamedTuple):
    """What is plain about a cluster: the leaf that covers it, or that none is worth it."""

    leaf: int | None


def _plain_verdict(
    program: Program, leaves: list[int], chosen: NDArray[np.bool_]
) -> Verdict | None:
    """Return what is plain about a cluster; None where nothing is."""
    worth = program.coverage / program.num_clusters
    leaf = max(leaves, key=lambda row: (chosen[program.above[row]], program.best[row]))
    way = _open_path(program, leaf, chosen)
    own, rest = program.best[leaf], program.best[leaves]
    is_alone, is_cheapest = len(leaves) == 1, len(way) == 1 and own >= rest.max()
    # Where nothing is chosen yet, a leaf must be kept even at a loss.
    if worth + own <= 0 and (is_cheapest or (is_alone and chosen.any())):
        return Verdict(None)
    if is_cheapest or (is_alone and worth + np.minimum(program.best[way], 0.0).sum() > 0):
        return Verdict(leaf)
    return None


def _least_loss(program: Program) -> int:
    """Return the leaf that costs least where none is worth its cost."""
    losses: list[float] = np.minimum(program.best, 0.0).tolist()
    for row in reversed(program.upwards):
        if program.above[row] != TOP:
            losses[row] += losses[program.above[row]]
    return int(np.argmax(losses[: program.num_leaves]))


def _cover(
    program: Program, rivals: Rivals, chosen: NDArray[np.bool_], seconds: float
) -> list[int] | None:
    """Return the leaves to add to a choice for clusters that it leaves uncovered.

    Only the leaves need to be integers: given them, the best ancestors and clusters are 0 or 1.
    """
    leaves = sorted(leaf for group in rivals.values() for leaf in group)
    rows = sorted({row for leaf in leaves for row in _open_path(program, leaf, chosen)})
    place = {row: column for column, row in enumerate(rows)}
    matrix = _constraints(program, rivals, place)
    lower = np.zeros(matrix.shape[0])
    lower[-1] = float(not chosen.any())  # a leaf must be kept
    size = len(rows) + len(rivals)
    worth = np.full(len(rivals), program.coverage / program.num_clusters)
    found = milp(
        -np.concatenate([_own_gains(program, rows), worth]),
        integrality=(np.arange(size) < len(leaves)).astype(int),  # rows begin with the leaves
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(matrix, lb=lower)],
        options={"time_limit": seconds},
    )
    if found.x is None:
        return None
    return [leaf for leaf in leaves if found.x[place[leaf]] > 0.5]


def _constraints(program: Program, rivals: Rivals, place: dict[int, int]) -> csr_array:
    """Return the matrix of the constraints, each of which is at least 0.

    Args:
        program: The program.
        rivals: Leaves that could cover each open cluster.
        place: Column of each leaf and ancestor; one for each cluster follows.

    A line for each link (the upper end, less the lower one), one for each cluster (its rivals,
    less the cluster), and a last one, the number of leaves.
    """
    lines = [
        {place[program.above[row]]: 1.0, column: -1.0}
        for row, column in place.items()
        if program.above[row] in place
    ]
    for number, group in enumerate(rivals.values()):
        rival_columns = {place[leaf]: 1.0 for leaf in group}
        lines.append({**rival_columns, len(place) + number: -1.0})
    lines.append({place[leaf]: 1.0 for group in rivals.values() for leaf in group})
    entries = [(k, *entry) for k, line in enumerate(lines) for entry in line.items()]
    at, columns, values = zip(*entries, strict=True)
    shape = (len(lines), len(place) + len(rivals))
    return csr_array((values, (at, columns)), shape=shape)


def _rivals(program: Program, chosen: NDArray[np.bool_]) -> Rivals:
    """Return, by uncovered cluster, the best leaf of each parent: the others need not cover it.

    Those of them that are worth their cost are kept with their parent anyway.
    """
    covered = set(program.clusters[chosen[: program.num_leaves]].tolist())
    best: dict[tuple[int, int], int] = {}
    for leaf, cluster in enumerate(program.clusters.tolist()):
        if cluster not in covered:
            first = best.setdefault((cluster, program.above[leaf]), leaf)
            if program.best[leaf] > program.best[first]:
                best[cluster, program.above[leaf]] = leaf
    rivals: Rivals = {}
    for (cluster, _), leaf in best.items():
        rivals.setdefault(cluster, []).append(leaf)
    return rivals


def _open_path(program: Program, row: int, chosen: NDArray[np.bool_]) -> list[int]:
    """Return a row and those above it that are not chosen yet."""
    path = []
    while row != TOP and not chosen[row]:
        path.append(row)
        row = program.above[row]
    return path


def _own_gains(program: Program, rows: Sequence[int]) -> NDArray[np.float64]:
    """Return what each row brings together with what hangs on it outside `rows`."""
    gains = program.best[list(rows)]
    place = {row: column for column, row in enumerate(rows)}
    for row in rows:
        if program.best[row] > 0 and program.above[row] in place:
            gains[place[program.above[row]]] -= program.best[row]
    return gains
