"""A language model proposes which points of a space are tried.

Source: "AgentTTS: Large Language Model Agent for Test-time Compute-optimal Scaling Strategy in
Complex Tasks", 2025, arXiv:2508.00890: a model is shown the space, what was tried and what it cost,
and guidelines that it drew from the trials before, the first and the last two; it proposes a batch,
which is run. What that paper found of such searches stands in the prompt: parts prefer models of
one size, accuracy rises with samples only up to a point, parts compete for one budget.

Departures: prompts are ours; costs are those that trials had, not predicted ones, so that a
proposal that costs too much is tried on the fewest problems and then told to the model; the trials
before the first proposal are the presets as they are, in place of each part's models in turn.
"""

import json
import random
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from tts.tuning.propose import MAX_REPEATS, TOO_DEAR, random_point
from tts.tuning.space import Point, Space
from tts.tuning.trial import Trial

Ask = Callable[[str, str], Awaitable[str]]  # takes a name for the request, and what is asked
_HUGE = 1e300  # beyond, differences overflow
_BATCH = 5  # proposals of one reply
_INSIGHTS = """\
What is known of such searches:
- Each part of a preset works best with a model of one size: find it first.
- More samples raise the accuracy only up to a point, from which on it stays or falls: look for it.
- Parts compete for one budget: what one is given the others lack.
- A single sample is best drawn at a low temperature, many at a higher one."""
_GUIDELINES = (
    "Say in at most five sentences what the results show: which values are good, from where on "
    "more of something no longer helps, and what to try next. Do not propose configurations yet."
)


class LanguageProposer:
    """Asks a model for a batch of points at a time.

    A value that is not offered is taken for the nearest one that is (numbers), or drawn; so are
    values that are missing. What cannot be read or names no preset of the space, and what is known
    already, is replaced by a random point. All are counted.

    Args:
        space: What may be tried.
        seed: Of what is drawn in place of bad proposals.
        ask: Returns the model's reply.
        limit: What a problem may cost, in words.
    """

    def __init__(self, space: Space, seed: int, *, ask: Ask, limit: str) -> None:
        self._space, self._ask, self._limit = space, ask, limit
        self._draw = random.Random(seed)
        self._results: list[str] = []
        self._guidelines: list[str] = []
        self._tried: set[Point] = set()
        self._waiting: list[Point] = []
        self._rounds = self._read = self._mended = self._known = self._unread = 0

    @property
    def notes(self) -> list[str]:
        """How many proposals were usable."""
        return [
            f"{self._rounds} rounds: {self._read} proposals as the model made them, {self._mended} "
            f"mended; replaced by random ones: {self._known} known before, {self._unread} "
            "unreadable or missing"
        ]

    async def propose(self) -> Point | None:
        """Return the next proposal of the batch; a new batch is asked for after its last."""
        if not self._waiting and len(self._tried) < self._space.size:
            await self._next_round()
        return self._waiting.pop(0) if self._waiting else None

    def tell(self, trial: Trial, score: float) -> None:
        """Add what came of a point to what the model is shown."""
        self._results.append(_line(trial, score))

    async def _next_round(self) -> None:
        number, self._rounds = self._rounds, self._rounds + 1
        if number:
            asked = self._prompt(_GUIDELINES)
            self._guidelines.append((await self._ask(f"guidelines {number}", asked)).strip())
        count = min(_BATCH, self._space.size - len(self._tried))
        request = _request(count, self._space)
        reply = await self._ask(f"proposals {number}", self._prompt(request))
        proposals = parse_proposals(reply)[:count]
        for proposal in [*proposals, *[None] * (count - len(proposals))]:
            self._take(proposal)

    def _take(self, proposal: Any) -> None:
        mended = mend(proposal, self._space, self._draw)
        if mended is not None and mended[0] not in self._tried:
            point, changed = mended
            self._mended += changed
            self._read += not changed
        else:
            self._known += mended is not None
            self._unread += mended is None
            drawn = (random_point(self._space, self._draw) for _ in range(MAX_REPEATS))
            found = next((one for one in drawn if one not in self._tried), None)
            if found is None:
                return
            point = found
        self._tried.add(point)
        self._waiting.append(point)

    def _prompt(self, request: str) -> str:
        offered = json.dumps(self._space.searched, indent=1)
        shown = dict.fromkeys([*self._guidelines[:1], *self._guidelines[-2:]])
        said = "\n\n".join(f"Earlier guideline: {text}" for text in shown)
        results = "\n".join(self._results)
        parts = [
            "You choose how a language model's compute is spent. A configuration is a preset and "
            "a value for each of its parameters; these are offered:",
            offered,
            f"A problem may cost {self._limit} on average; what costs more is of no use. The "
            "higher the accuracy within that limit the better.",
            f"Results so far, without values where a preset ran as it is:\n{results}",
            _INSIGHTS,
            said,
            request,
        ]
        return "\n\n".join(filter(None, parts))


def parse_proposals(text: str) -> list[Any]:
    """Return the entries of the last JSON list of a reply.

    Where no list can be read, since it was cut or has a comma too many, these are all objects of
    the reply that name a preset.
    """
    for match in reversed(list(re.finditer(r"\[\s*\{", text))):
        try:
            values, _ = json.JSONDecoder().raw_decode(text[match.start() :])
        except (
            ValueError,
            RecursionError,
        ):  # no JSON, a number of too many digits, lists within lists
            continue
        return list(values)
    return list(_objects(text))


def _objects(text: str) -> Iterator[dict[str, Any]]:
    place = text.find("{")
    while place >= 0:
        try:
            found, end = json.JSONDecoder().raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if "preset" in found:
                yield found
        place = text.find("{", end)


def mend(proposal: Any, space: Space, draw: random.Random) -> tuple[Point, bool] | None:
    """Return the point that a proposal means, and whether it had to be changed; None for none."""
    preset = proposal.get("preset") if isinstance(proposal, dict) else None
    if not isinstance(preset, str) or preset not in space.searched:
        return None
    given = proposal.get("values", {path: proposal[path] for path in proposal if path != "preset"})
    given = given if isinstance(given, dict) else {}
    offered = space.searched[preset]
    chosen = {path: _nearest(given.get(path), values, draw) for path, values in offered.items()}
    return Point(preset, tuple(chosen.items())), given != chosen


def _nearest(given: Any, values: Sequence[Any], draw: random.Random) -> Any:
    while isinstance(given, list) and given:  # several, as the space has them: the first is meant
        given = given[0]
    if given in values:
        return values[values.index(given)]
    if isinstance(given, str):  # a number in quotation marks
        with suppress(ValueError, RecursionError):
            return _nearest(json.loads(given), values, draw)
    if _is_number(given) and (numbers := [value for value in values if _is_number(value)]):
        return min(numbers, key=lambda value: abs(value - given))
    return draw.choice(values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE


def _request(count: int, space: Space) -> str:
    preset, offered = next(iter(space.searched.items()))
    values = {path: values[0] for path, values in offered.items()}
    example = json.dumps({"preset": preset, "values": values})
    return (
        f"Propose {count} further configurations, none of which was tried, the best guess first. "
        "End with a JSON list of objects with a preset and one value, not a list, for each of its "
        f"parameters, such as {example}."
    )


def _line(trial: Trial, score: float) -> str:
    values = {
        "preset": trial.point.preset,
        "values": dict(trial.point.values),
        "accuracy": round(trial.summary.accuracy, 3),
        "problems": trial.summary.problems,
        f"{trial.unit} a problem": round(trial.cost),
    }
    return json.dumps(values) + (" (too dear)" if score == TOO_DEAR else "")
