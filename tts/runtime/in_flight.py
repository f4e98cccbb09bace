"""Calls that an engine was asked for and that a killed process never heard of again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tts.types import Usage, sum_usage

_Place = tuple[str, int]  # problem and repeat
_Name = tuple[str, int]  # key of a request and seed of a sample


@dataclass(slots=True)
class _Problem:
    """What one session asked for one problem.

    Attributes:
        session: Its number.
        open: What each call may have cost that was sent and has not ended.
        requests: Seeds of each request, by its key and base seed.
        spent: What calls had cost that gave nothing to keep.
    """

    session: int
    open: dict[_Name, Usage] = field(default_factory=dict)
    requests: dict[_Name, Sequence[int]] = field(default_factory=dict)
    spent: list[Usage] = field(default_factory=list)

    def lost(self) -> Usage:
        """Return the cost of all that a record of this session would have held."""
        return sum_usage([*self.open.values(), *self.spent])


class InFlight:
    """Follows the lines of a log and adds up what is in no record.

    The record of a problem holds the cost of all that the session which finished it asked for. What
    earlier sessions asked for in vain was paid beside it.
    """

    def __init__(self) -> None:
        self._problems: dict[_Place, _Problem] = {}
        self._lost: list[Usage] = []
        self.session = 0

    def sent(
        self, place: _Place, session: int, key: str, seed: int, seeds: Sequence[int], each: Usage
    ) -> None:
        """Note a request.

        Args:
            place: The problem and its repeat.
            session: That sent it, counted from 1.
            key: Of the request.
            seed: Its base seed.
            seeds: Of the samples that were asked for.
            each: Most that each may cost.
        """
        self.session = max(self.session, session)
        problem = self._problems.get(place)
        if problem is None or problem.session != session:
            if problem is not None:
                self._lost.append(problem.lost())
            problem = self._problems[place] = _Problem(session)
        problem.requests[key, seed] = seeds
        problem.open.update(((key, one), each) for one in seeds)

    def came(self, place: _Place, key: str, seed: int) -> None:
        """Note a completion that was kept."""
        if (problem := self._problems.get(place)) is not None:
            problem.open.pop((key, seed), None)

    def failed(self, place: _Place, key: str, seed: int, usage: Usage) -> None:
        """Note a call that failed."""
        if (problem := self._problems.get(place)) is not None:
            problem.open.pop((key, seed), None)
            problem.spent.append(usage)

    def closed(self, place: _Place, key: str, seed: int, usage: Usage) -> None:
        """Note that a request was closed, and what had not come of it by then."""
        if (problem := self._problems.get(place)) is not None:
            for one in problem.requests.pop((key, seed), ()):
                problem.open.pop((key, one), None)
            problem.spent.append(usage)

    def decided(self, place: _Place, key: str, seed: int) -> None:
        """Note that a reader had enough of a request; whoever replays that pays for it then."""
        self.closed(place, key, seed, Usage())

    def lost(self, finished: Collection[_Place]) -> Usage:
        """Return what was paid and is in no record; what nobody counted is an estimate.

        Args:
            finished: Problems that have a record.
        """
        last = [one.lost() for place, one in self._problems.items() if place not in finished]
        return sum_usage([*self._lost, *last])
