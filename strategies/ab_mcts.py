"""AB-MCTS: at every node, decide by Thompson sampling whether to go wider or deeper.

Source: Inoue et al. 2025, "Wider or Deeper? Scaling LLM Inference-Time Compute with Adaptive
Branching Tree Search", arXiv:2503.04412; `SakanaAI/treequest` with one model. Algorithm A
(posterior gaussian or beta): from the root down, draw a mean for GEN (a new attempt from here; it
has seen the rewards of the attempts that began here) and for CONT (go on below; it has seen those
of the attempts that began deeper). If GEN wins, or there is nothing to go on with, an attempt
begins here; otherwise descend to the child whose own draw (it has seen all attempts through it) is
the largest.

Gaussian posterior: normal-inverse-chi-squared with m = 0, kappa = 1, nu = 1, tau^2 = 0.1. After n
observations of mean y and sum of squared deviations SS:

    kappa' = kappa + n,  nu' = nu + n,  m' = (kappa m + n y) / kappa'
    tau'^2 = (nu tau^2 + SS + n kappa (m - y)^2 / kappa') / nu'

Beta posterior: a = 1/2 + sum of rewards, b = 1/2 + n - sum.

Algorithm M (posterior mixed): at each node the rewards of all attempts below are one mixed model
with the children as groups (`_mixed_model`). An attempt begins here if the draw for a new child
beats those of all children; otherwise descend to the best.

Departures: there a node is a whole answer, and its children are revisions of it. Here an attempt is
a solution played out from the node where it begins, in one request that is then cut into steps; its
reward is that of the solution, and every step on its way is a node at which later attempts may
begin. Attempts without a solution teach nothing. Up to `parallel` attempts are drawn before their
rewards are known, as with the published ask and tell (5 recommended there). That M passes over
subtrees whose rewards are all equal is left out.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tts.pipeline import Pipeline
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.strategies._mixed_model import MixedModel
from tts.strategies._search import SearchConfig, build_search
from tts.strategies._tree_stats import children_of, subtree_sums

Posterior = Literal["gaussian", "beta", "mixed"]
_MEAN, _KAPPA, _NU, _TAU2 = 0.0, 1.0, 1.0, 0.1
_JEFFREYS = 0.5


@dataclass(frozen=True, slots=True)
class Observed:
    """Rewards that an arm has seen: their number, sum and sum of squares."""

    number: float
    total: float
    squares: float


class Policy(SearchPolicy):
    """Begins attempts where Thompson sampling says, and plays each out in one request."""

    plays_out: ClassVar[bool] = True

    attempts: int = Field(16, ge=1, description="solutions that are begun in all")
    parallel: int = Field(5, ge=1, description="attempts that run at once")
    posterior: Posterior = Field(
        "gaussian",
        description="belief about rewards: gaussian and beta are algorithm A, mixed is M",
    )

    @property
    def by_level(self) -> bool:
        """Never waits for a level."""
        return False

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Begin as many attempts as there is room for."""
        running = (tree.state == NodeState.RUNNING) & (tree.num_children == 0)
        begun = int(is_first_step(tree).sum())
        room = min(self.parallel - int(running.sum()), self.attempts - begun)
        counts: dict[int, int] = {}
        if room > 0:
            kind = _MixedChooser if self.posterior == "mixed" else _ArmChooser
            chooser = kind(tree, self.posterior, rng)
            for _ in range(room):
                node = chooser.choose()
                counts[node] = counts.get(node, 0) + 1
        return Decision(expand=tuple(counts.items()))


class Config(SearchConfig, Policy):
    """Parameters of AB-MCTS."""


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy)


class _Chooser(ABC):
    """Thompson sampling over one state of the tree."""

    def __init__(self, tree: SearchTree, posterior: Posterior, rng: np.random.Generator) -> None:
        self.tree = tree
        self.posterior = posterior
        self.rng = rng
        self.children = children_of(tree)
        # Number, sum and sum of squares of the rewards of the attempts that begin with a node.
        self.own = np.zeros((len(tree), 3))
        for node, reward in finished_attempts(tree):
            self.own[node] += (1.0, reward, reward**2)
        self.below: NDArray[np.float64] = np.stack(
            [subtree_sums(tree, column) for column in self.own.T], axis=1
        )
        # What has no step after it is no place for another attempt.
        is_place = (tree.state == NodeState.OPEN) & (tree.num_children > 0)
        self._places = subtree_sums(tree, is_place)

    def choose(self) -> int:
        """Return the node where the next attempt begins."""
        node, following = ROOT, self._next(ROOT)
        while following is not None:
            node, following = following, self._next(following)
        return node

    def _next(self, node: int) -> int | None:
        places = [child for child in self.children[node] if self._places[child] > 0]
        return self.descend(node, places) if places else None

    @abstractmethod
    def descend(self, node: int, places: Sequence[int]) -> int | None:
        """Return one of the children with places for attempts; None to begin one at the node."""


class _ArmChooser(_Chooser):
    """Algorithm A: a posterior for each arm."""

    def descend(self, node: int, places: Sequence[int]) -> int | None:
        if self._is_wider(node):
            return None
        draws = [self._draw(self.below[child]) for child in places]
        return places[int(np.argmax(draws))]

    def _is_wider(self, node: int) -> bool:
        children = self.children[node]
        first = is_first_step(self.tree)
        here = self.own[[child for child in children if first[child]]].sum(axis=0)
        deeper = self.below[children].sum(axis=0) - here
        return self._draw(here) > self._draw(deeper)

    def _draw(self, sums: NDArray[np.float64]) -> float:
        observed = Observed(*(float(s) for s in sums))
        if self.posterior == "beta":
            a, b = beta_posterior(observed)
            return float(self.rng.beta(a, b))
        mean, kappa, nu, tau2 = gaussian_posterior(observed)
        variance = nu * tau2 / 2 / self.rng.gamma(nu / 2)
        return float(self.rng.normal(mean, math.sqrt(variance / kappa)))


class _MixedChooser(_Chooser):
    """Algorithm M: one model of a node's children."""

    def descend(self, node: int, places: Sequence[int]) -> int | None:
        children = self.children[node]
        draw = MixedModel(self.below[children]).draw(self.rng)
        known = dict(zip(children, draw.known.tolist(), strict=True))
        best = max(places, key=lambda child: known[child])
        return best if known[best] >= draw.fresh else None


def is_first_step(tree: SearchTree) -> NDArray[np.bool_]:
    """Return which nodes begin an attempt: the root's children, and second children elsewhere.

    A node's first child goes on with the attempt that the node belongs to.
    """
    is_first: NDArray[np.bool_] = (tree.parent == ROOT) | (tree.place > 0)
    return is_first


def finished_attempts(tree: SearchTree) -> list[tuple[int, float]]:
    """Return the first step and the reward of every attempt that ended with a solution."""
    first = is_first_step(tree)
    found = []
    for leaf in tree.with_state(NodeState.FINISHED).tolist():
        begin = next(node for node in tree.path(leaf) if first[node])
        found.append((begin, float(tree.reward[leaf])))
    return found


def gaussian_posterior(observed: Observed) -> tuple[float, float, float, float]:
    """Return m', kappa', nu' and tau'^2."""
    n = observed.number
    y = observed.total / n if n else 0.0
    deviations = max(0.0, observed.squares - n * y * y)
    kappa, nu = _KAPPA + n, _NU + n
    mean = (_KAPPA * _MEAN + n * y) / kappa
    tau2 = (_NU * _TAU2 + deviations + n * _KAPPA * (_MEAN - y) ** 2 / kappa) / nu
    return mean, kappa, nu, tau2


def beta_posterior(observed: Observed) -> tuple[float, float]:
    """Return a and b."""
    return _JEFFREYS + observed.total, _JEFFREYS + observed.number - observed.total


def observe(rewards: Sequence[float]) -> Observed:
    """Summarise rewards."""
    return Observed(len(rewards), math.fsum(rewards), math.fsum(r * r for r in rewards))
