"""What a problem's votes say of its right answer, and what further votes are worth.

A prior over problems, fitted by `tts.allocation.fit`: the right answer's share of the votes is
Beta(right, wrong), and the wrong ones split the rest as a Pitman-Yor process does (Pitman and Yor
1997, doi:10.1214/aop/1024404422), with few large classes or many small ones by `spread` and
`discount`. So the chance of each answer to be right, seen or not, has a closed form: a leader whose
rivals are scattered is rightly trusted, and one that may be a popular mistake is not.

Further votes are worth what they may mend. If another answer than the leader is right, it may
overtake; if the leader is right, it may be overtaken. Both have closed forms too (beta-binomial
counts of the right answer, and of its rival among the rest), so that the gain of m more votes is

    sum over others of P(it is right) P(it overtakes) - P(leader is right) P(it is overtaken),

each against its strongest rival alone. One vote seldom changes anything, so the gain per vote is
taken at the horizon where it is largest: the knowledge gradient (Frazier, Powell and Dayanik 2008,
doi:10.1137/070693424) with its horizon. No horizon is longer than what a problem may still get: a
leader that cannot be overtaken any more is settled.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError, optional_import

with optional_import("the allocation of a budget"):
    from scipy.special import betaln, gammaln

HORIZONS = (1, 2, 4, 8, 16)
_MOST = HORIZONS[-1]
_TOO_FAR = 1e-3  # weight of a horizon beyond what is left: it decides between equals alone
_LEAST_CHANCE = 1e-9  # of an answer that is worth following
_KEPT = 200_000  # states whose gains are remembered
_CHUNK = 2_048  # states worked out together: some 50 MB
_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of a model on a kind of problems, before any is seen.

    Attributes:
        right: First parameter of the Beta distribution of the right answer's share of the votes.
        wrong: The second.
        spread: Strength of the process that splits the wrong votes; larger is more classes.
        discount: Its other parameter, from 0 to 1; larger is more classes of one vote.
        answers: Share of the samples that give an answer at all.
    """

    right: float = 0.6
    wrong: float = 0.8
    spread: float = 1.5
    discount: float = 0.25
    answers: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what is no belief."""
        if not min(self.right, self.wrong, self.spread) > 0:
            raise InputError("a belief's right, wrong and spread must be positive")
        if not 0 <= self.discount < 1 or not 0 < self.answers <= 1:
            raise InputError(
                "a belief's discount lies in [0, 1), and its share of answers in (0, 1]"
            )


class Chances(NamedTuple):
    """Chances to be right: [states, classes] of each class, [states] of one not seen yet."""

    seen: _Floats
    unseen: _Floats


def chances(belief: Belief, counts: _Ints) -> Chances:
    """Return how likely each class of answers is the right one.

    Args:
        belief: About the model.
        counts: [states, classes], votes; 0 for a class that is not there.
    """
    votes = counts.astype(np.float64)
    total = votes.sum(axis=1, keepdims=True)
    num_classes = (counts > 0).sum(axis=1, keepdims=True)
    a, b, strength, discount = belief.right, belief.wrong, belief.spread, belief.discount
    # Of the wrong classes' probability: prod (spread + discount k) prod (1 - discount)_(n - 1).
    opened = np.cumsum(np.log(strength + discount * np.arange(counts.shape[1] + 1)))
    opened = np.concatenate([[0.0], opened])
    grown = np.where(counts > 0, gammaln(np.maximum(votes, 1.0) - discount), 0.0)
    grown -= np.where(counts > 0, gammaln(1.0 - discount), 0.0)
    logs = np.concatenate(
        [
            np.where(
                counts > 0,
                betaln(a + votes, b + total - votes)
                - gammaln(strength + total - votes)
                - grown
                + opened[np.maximum(num_classes - 1, 0)],
                -np.inf,
            ),
            betaln(a, b + total) - gammaln(strength + total) + opened[num_classes],
        ],
        axis=1,
    )
    weight = np.exp(logs - logs.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    return Chances(weight[:, :-1], weight[:, -1])


def gain_per_vote(belief: Belief, counts: _Ints) -> _Floats:
    """Return the expected gain in accuracy of 1, 2, 4, ... further votes, for each of them.

    Args:
        belief: About the model.
        counts: [states, classes].

    Returns:
        [states, horizons].
    """
    ranked = -np.sort(-counts, axis=1)
    ranked = np.pad(ranked, ((0, 0), (0, max(0, 3 - ranked.shape[1]))))
    parts = [ranked[i : i + _CHUNK] for i in range(0, len(ranked), _CHUNK)]
    none = np.zeros((0, len(HORIZONS)))
    return np.concatenate([none, *(_gain(belief, part) for part in parts)])


def _gain(belief: Belief, ranked: _Ints) -> _Floats:
    """Return the gains of states whose votes fall, [states, horizons]."""
    seen, unseen = chances(belief, ranked)
    votes = ranked.astype(np.float64)
    total, lead = votes.sum(axis=1), votes[:, 0]
    gains = np.zeros((len(ranked), len(HORIZONS)))
    # The third stands for all behind the second; their counts are seldom far apart.
    others = ((votes[:, 1], seen[:, 1]), (votes[:, 2], seen[:, 2:].sum(axis=1)), (0 * lead, unseen))
    for own, chance in others:
        at = np.flatnonzero(chance > _LEAST_CHANCE)
        right = _Beta(belief.right + own[at], belief.wrong + total[at] - own[at])
        rival = _among_wrong(belief, lead[at], total[at] - own[at])
        gains[at] += chance[at, None] * _overtakes(right, rival, (lead - own)[at], by_right=True)
    at = np.flatnonzero(seen[:, 0] > _LEAST_CHANCE)
    second = votes[at, 1]
    right = _Beta(belief.right + lead[at], belief.wrong + total[at] - lead[at])
    rival = _among_wrong(belief, second, total[at] - lead[at])
    equals = (votes[at, 1:] == second[:, None]).sum(axis=1)
    rivals = np.where(second > 0, equals, 1)[:, None]
    lost = _overtakes(right, rival, lead[at] - second, by_right=False)
    gains[at] -= seen[at, :1] * np.minimum(1.0, rivals * lost)
    return np.asarray(np.maximum(gains, 0.0) / HORIZONS)


class _Beta(NamedTuple):
    a: _Floats
    b: _Floats


def _among_wrong(belief: Belief, votes: _Floats, total: _Floats) -> _Beta:
    """Return the share of a class among the wrong votes; of the first new one if it has none."""
    own = np.maximum(votes, 1.0) - belief.discount
    rest = np.where(votes > 0, total - votes, 0.0)
    return _Beta(own, rest + belief.spread + belief.discount)


def _overtakes(right: _Beta, rival: _Beta, behind: _Floats, *, by_right: bool) -> _Floats:
    """Return the chance that one passes the other within each horizon, [states, horizons].

    Args:
        right: Share of the votes of the right answer.
        rival: Share of the others' votes of its rival.
        behind: Votes that the one behind lacks; a tie stays with who leads.
        by_right: Whether the right one is behind, or its rival.
    """
    below = np.cumsum(_binomials(rival), axis=-1)  # [states, votes, own]: rival has at most so many
    own = _binomials(right)
    lacks = behind.astype(np.int64)[:, None]
    rows = np.arange(len(lacks))[:, None]
    found = []
    for horizon in HORIZONS:
        mine = np.arange(horizon + 1)[None]
        if by_right:
            most = mine - lacks - 1
            passed = np.where(most >= 0, below[rows, horizon - mine, np.maximum(most, 0)], 0.0)
        else:
            passed = 1.0 - below[rows, horizon - mine, np.minimum(mine + lacks, _MOST)]
        found.append((own[:, horizon, : horizon + 1] * passed).sum(axis=1))
    return np.stack(found, axis=1)


_TOTAL = np.arange(_MOST + 1)[:, None]
_OWN = np.arange(_MOST + 1)[None]
_OTHERS = np.maximum(_TOTAL - _OWN, 0)
_WAYS = gammaln(_TOTAL + 1) - gammaln(_OWN + 1) - gammaln(_OTHERS + 1)


def _binomials(share: _Beta) -> _Floats:
    """Return the beta-binomial chance of j of n votes, [states, n, j]; 0 where j > n."""
    a, b, both = (_rising(part) for part in (share.a, share.b, share.a + share.b))
    logs = _WAYS + a[:, None, :] + b[:, _OTHERS] - both[:, :, None]
    return np.where(_OWN <= _TOTAL, np.exp(logs), 0.0)


def _rising(x: _Floats) -> _Floats:
    """Return log x (x + 1) ... (x + n - 1) for n from 0, [states, n]."""
    steps = np.log(x[:, None] + np.arange(_MOST))
    return np.concatenate([np.zeros((len(x), 1)), np.cumsum(steps, axis=1)], axis=1)


class Gains:
    """`gain_per_sample` of one belief, worked out once for each state."""

    def __init__(self, belief: Belief) -> None:
        """Start empty."""
        self.belief = belief
        self._known: dict[bytes, list[float]] = {}

    def __call__(self, counts: _Ints, num_samples: _Ints, left: _Ints) -> _Floats:
        """Return the expected gain in accuracy of each problem's next sample, [problems].

        The gain per vote times the chance that a sample is a vote at all.

        Args:
            counts: [problems, classes], votes.
            num_samples: Samples drawn of each, missing answers included.
            left: Samples that each may still get.
        """
        votes = counts.sum(axis=1)
        answers = (votes + self.belief.answers) / (num_samples + 1.0)
        is_near = np.asarray(HORIZONS) <= np.asarray(left)[:, None]
        gains = self._per_vote(counts) * np.where(is_near, 1.0, _TOO_FAR)
        return np.asarray(gains.max(axis=1) * answers)

    def _per_vote(self, counts: _Ints) -> _Floats:
        ranked = -np.sort(-counts, axis=1)
        names = [row.tobytes().rstrip(b"\0") for row in ranked.astype("<i8")]
        places = {name: i for i, name in enumerate(names)}
        unknown = [i for name, i in places.items() if name not in self._known]
        if len(self._known) + len(unknown) > _KEPT:
            self._known.clear()
            unknown = list(places.values())
        if unknown:
            found = gain_per_vote(self.belief, ranked[unknown])
            self._known |= zip((names[i] for i in unknown), found.tolist(), strict=True)
        return np.array([self._known[name] for name in names]).reshape(-1, len(HORIZONS))


@lru_cache(maxsize=8)
def gains_of(belief: Belief) -> Gains:
    """Return the gains of a belief, the same object each time: it only remembers more."""
    return Gains(belief)
