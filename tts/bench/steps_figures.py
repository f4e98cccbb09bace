"""What recorded solutions say about steps: how they split, and which of a level mean the same.

A level is what a tree search would have in front of it, had all samples of a problem come from one
prompt: the steps in one place, of the samples that go on after it. What a sample answers in the end
is a noisy label of what its steps mean, and needs nobody to judge them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from tts.answers.thoughts import after_thought
from tts.engine.pools import Pool, RecordedProblem
from tts.search.policy import SearchPolicy
from tts.search.tree import ROOT, SearchTree
from tts.strategies.ets import Policy as ETS
from tts.strategies.rebase import Policy as REBASE
from tts.tasks.splits import split_solution, split_steps
from tts.types.arrays import FloatArray

FEWEST, MOST = 2, 20  # steps of a solution that a search can work with
_FEWEST_LEAVES = 4
_DEPTHS = 8
_PIECE = 750  # characters: some 256 tokens, the length at which a search cuts by itself
_SHORT = 20  # characters of a step that says next to nothing
_WIDTH = 16
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Splits:
    """How texts split into steps.

    Attributes:
        what: Whole texts, the solutions that follow their thoughts, or pieces of texts by length.
        number: How many.
        share: Of those with 2 to 20 steps.
        one: Share of those with a single step.
        many: Share of those with more than 20.
        steps: Median number.
        characters: Median length of a step.
        short: Share of the steps below 20 characters.
    """

    what: str
    number: int
    share: float
    one: float
    many: float
    steps: float
    characters: float
    short: float


@dataclass(frozen=True, slots=True)
class Level:
    """Steps in one place of several samples of a problem.

    Attributes:
        problem: Its place in the pool.
        texts: The steps.
        answers: What each sample answers in the end.
    """

    problem: int
    texts: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """What clusters at one distance do, over all levels.

    Attributes:
        distance: Where the dendrogram is cut.
        merging: Share of the levels with fewer clusters than leaves.
        clusters: Clusters per leaf, mean over levels.
        as_rebase: Share of the levels on which ETS gives REBASE's widths, at random rewards.
        agreeing: Pairs of different steps in one cluster whose samples give the same answer.
        by_chance: The same for as many pairs of each level, drawn at random.
        correlation: Within levels, between "same cluster" and "same answer".
        low: Of its 95 % bootstrap interval, over problems.
        high: Likewise.
    """

    distance: float
    merging: float
    clusters: float
    as_rebase: float
    agreeing: float
    by_chance: float
    correlation: float
    low: float
    high: float


def splits_of(pool: Pool) -> Iterator[Splits]:
    """Yield how texts of a pool split, what follows their thoughts, and texts cut by length."""
    texts = [s.text for p in pool.problems for s in p.samples if s.text.strip()]
    if texts:
        yield _splits("texts", map(split_solution, texts))
    solutions = [after for t in texts if (after := after_thought(t)) and after != t.strip()]
    if solutions:
        yield _splits("solutions", map(split_solution, solutions))
    if texts:
        yield _splits("pieces", map(_pieces, texts))


def _pieces(text: str) -> list[str]:
    """Cut a text as a search does that has no separator, only a length."""
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def _splits(what: str, texts: Iterable[list[str]]) -> Splits:
    split = list(texts)
    numbers = [len(steps) for steps in split]
    lengths = [len(step) for steps in split for step in steps]
    return Splits(
        what=what,
        number=len(split),
        share=fmean(FEWEST <= n <= MOST for n in numbers),
        one=fmean(n < FEWEST for n in numbers),
        many=fmean(n > MOST for n in numbers),
        steps=median(numbers),
        characters=median(lengths),
        short=fmean(length < _SHORT for length in lengths),
    )


def levels_of(pool: Pool, limit: int | None) -> list[Level]:
    """Return the levels of a pool, the first 16 answered samples of each problem being a search.

    Args:
        pool: With texts.
        limit: Use only the first problems, so many.
    """
    return [
        level
        for number, recorded in enumerate(pool.problems[:limit])
        for level in _levels(number, recorded)
    ]


def _levels(number: int, recorded: RecordedProblem) -> Iterator[Level]:
    solved = [s for s in recorded.samples if s.text and s.answer is not None][:_WIDTH]
    paths = [split_steps(sample.text) for sample in solved]
    for depth in range(_DEPTHS):
        live = [
            (path[depth], str(sample.answer))
            for path, sample in zip(paths, solved, strict=True)
            if len(path) > depth + 1
        ]
        if len(live) >= _FEWEST_LEAVES:
            texts, answers = zip(*live, strict=True)
            yield Level(number, texts, answers)


class Trees:
    """A search tree for each level: every step a leaf below a parent of its own.

    Args:
        levels: Of one pool.
        vectors: Of the steps' texts, by an embedding model; None compares words and numbers.
        seed: Of the rewards, which are random, Beta(6, 2), and the same at every distance.
    """

    def __init__(
        self, levels: Sequence[Level], vectors: Mapping[str, FloatArray] | None, *, seed: int
    ) -> None:
        self._levels = levels
        self._has_vectors = vectors is not None
        self._seed = seed
        rng = np.random.default_rng(seed)
        self._trees = [_tree(level.texts, rng) for level in levels]
        for level, tree in zip(levels, self._trees, strict=True):
            for text in level.texts:
                if vectors is not None:
                    tree.add_embedding(text, vectors[text])

    def cut(self, distance: float) -> Cut:
        """Return what clusters at a distance do."""
        sums = np.zeros((1 + max(level.problem for level in self._levels), 6))
        fewer, per_leaf, as_rebase = [], [], []
        for level, tree in zip(self._levels, self._trees, strict=True):
            size = len(level.texts)
            policy = ETS(
                width=size,
                cluster_distance=distance,
                embedder="embedder" if self._has_vectors else "",
            )
            clusters = policy.clusters(tree, tree.open_leaves().tolist())
            if not clusters.size:  # all say the same
                clusters = np.zeros(size, dtype=int)
            number = int(clusters.max()) + 1
            fewer.append(number < size)
            per_leaf.append(number / size)
            as_rebase.append(_widths(policy, tree) == _widths(REBASE(width=size), tree))
            sums[level.problem] += _sums(level, clusters)
        total = sums.sum(axis=0)
        low, high = self._interval(sums)
        return Cut(
            distance=distance,
            merging=fmean(fewer),
            clusters=fmean(per_leaf),
            as_rebase=fmean(as_rebase),
            agreeing=float(total[0] / max(total[2], 1.0)),
            by_chance=float(total[1] / max(total[2], 1.0)),
            correlation=float(_correlations(total)),
            low=low,
            high=high,
        )

    def _interval(self, sums: NDArray[np.float64]) -> tuple[float, float]:
        rng = np.random.default_rng(self._seed)
        draws = rng.integers(0, len(sums), (_RESAMPLES, len(sums)))
        low, high = np.quantile(_correlations(sums[draws].sum(axis=1)), [0.025, 0.975])
        return float(low), float(high)


def _tree(texts: Sequence[str], rng: np.random.Generator) -> SearchTree:
    tree, size = SearchTree(), len(texts)
    tree.set_step(ROOT, (ROOT,))
    first = tree.add_children(ROOT, size)
    for parent in range(first, first + size):
        tree.set_step(parent, (parent,))
        tree.score(parent, 0.5)
    rewards = rng.beta(6, 2, size).tolist()
    for parent, text, reward in zip(range(first, first + size), texts, rewards, strict=True):
        leaf = tree.add_children(parent, 1)
        tree.set_step(leaf, (leaf,), text)
        tree.score(leaf, reward)
    return tree


def _widths(policy: SearchPolicy, tree: SearchTree) -> tuple[tuple[int, int], ...]:
    return policy.decide(tree, np.random.default_rng(0)).expand


def _sums(level: Level, clusters: NDArray[np.int_]) -> NDArray[np.float64]:
    """Return sums over the pairs of different steps of a level.

    Pairs of one cluster that agree in the answer, those expected by chance, all pairs of one
    cluster; the covariance of "same cluster" and "same answer", and the variances of both.
    """
    texts, answers = np.array(level.texts), np.array(level.answers)
    first, second = np.triu_indices(len(texts), 1)
    differ = texts[first] != texts[second]
    first, second = first[differ], second[differ]
    if not first.size:
        return np.zeros(6)
    near = (clusters[first] == clusters[second]).astype(float)
    same = (answers[first] == answers[second]).astype(float)
    off_near, off_same = near - near.mean(), same - same.mean()
    return np.array(
        [
            near @ same,
            near.sum() * same.mean(),
            near.sum(),
            off_near @ off_same,
            off_near @ off_near,
            off_same @ off_same,
        ]
    )


def _correlations(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of each row of sums; 0 where either does not vary."""
    spread = np.sqrt(sums[..., 4] * sums[..., 5])
    found: NDArray[np.float64] = np.divide(
        sums[..., 3], spread, out=np.zeros_like(spread), where=spread > 0
    )
    return found
