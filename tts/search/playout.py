"""A solution that was generated in one request, cut into the steps that it consists of."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tts.search.steps import ANSWER_MARK, Stepwise
from tts.types import PER_TOKEN, Completion, Trajectory, Usage


class _End(NamedTuple):
    """Where a step ends.

    Attributes:
        text: Place in the text after its last character.
        tokens: Place after its last token.
        stop: The separator that follows it in the text; None where it is cut by its length.
    """

    text: int
    tokens: int
    stop: str | None


def cut_playout(
    options: Stepwise, parent: Trajectory, completion: Completion, *, most: int
) -> list[Completion]:
    """Return the steps of a completion, each as a request of its own would have brought it.

    The first one carries what the whole had cost, the others their tokens alone. A completion whose
    engine does not tell where tokens end stays whole.

    Args:
        options: Say where steps end.
        parent: What the completion continues.
        completion: Drawn to the end of the solution, with `sampling.offsets`.
        most: Steps, at most; the last one holds all the rest.
    """
    text, offsets = completion.text, completion.offsets
    if not offsets or completion.finish_reason not in ("stop", "length"):
        return [completion]
    steps: list[Completion] = []
    start, first = 0, 0
    while len(steps) + 1 < most:
        number = len(parent.steps) + len(steps) + 2  # of the step after
        end = _end_of_step(options, text, offsets, start, first, number)
        if end is None or not text[end.text + len(end.stop or "") :].strip():
            break
        steps.append(_part(completion, text[start : end.text], first, end.tokens, end.stop))
        if options.ends_at_answer and end.stop and ANSWER_MARK in steps[-1].text:
            return _paid(steps, completion)
        start, first = end.text + len(end.stop or ""), end.tokens
    rest = _part(completion, text[start:], first, len(completion.token_ids), None)
    finish, stop = completion.finish_reason, completion.stop_string
    return _paid([*steps, replace(rest, finish_reason=finish, stop_string=stop)], completion)


def _end_of_step(
    options: Stepwise, text: str, offsets: Sequence[int], start: int, first: int, number: int
) -> _End | None:
    """Return where the step ends that begins at a place; None where it is the last."""
    limit = first + options.step_tokens
    separator = options.separator_before(number)
    place = text.find(separator, start) if separator else -1
    while place >= 0 and not text[start:place].strip():
        place = text.find(separator, place + len(separator))
    if place >= 0:
        # The token that completes the separator belongs to the step, whatever else it holds.
        tokens = bisect_left(offsets, place + len(separator), lo=first) + 1
        if tokens <= limit:
            return _End(place, tokens, separator)
    return _End(offsets[limit - 1], limit, None) if limit < len(offsets) else None


def _part(whole: Completion, text: str, first: int, end: int, stop: str | None) -> Completion:
    told: dict[str, Any] = {name: getattr(whole, name) for name in PER_TOKEN}
    return replace(
        whole,
        text=text,
        finish_reason="length" if stop is None else "stop",
        stop_string=stop,
        token_ids=whole.token_ids[first:end],
        offsets=None,
        usage=Usage(generated_tokens=end - first),
        **{name: values and values[first:end] for name, values in told.items()},
    )


def _paid(steps: list[Completion], whole: Completion) -> list[Completion]:
    """Let the first step carry all costs but the tokens of the others."""
    others = sum(len(step.token_ids) for step in steps[1:])
    tokens = whole.usage.generated_tokens
    left = None if tokens is None else tokens - others
    steps[0] = replace(steps[0], usage=replace(whole.usage, generated_tokens=left))
    return steps
