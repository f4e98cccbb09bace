"""Steps with exact labels for the process reward model: made up, and the policy's own."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os.path import commonprefix

from tts import prompts
from tts.bundled.corpus import Tried, draw_task, draw_tried, render
from tts.tasks import chain, countdown
from tts.tasks.labels import label_steps
from tts.tasks.splits import split_steps
from tts.types import Problem

OWN_SHARE = 0.7  # of the problems drawn; the rest is made up
CHAIN_SHARE = 0.6  # of the made up ones
_EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


@dataclass(frozen=True, slots=True)
class Row:
    """What the model reads, with labels.

    Attributes:
        text: Problem and steps, each step with its tag.
        response_start: First character of the solution.
        labels: Of the step tags.
        right_until: All characters of the solution before this are right.
        wrong_from: All characters from this on come after an error; between the two it is unknown
            where a step went wrong.
        marks: Characters at which a right and a wrong step part, and whether this one is right,
            taking what stands before it as given.
    """

    text: str
    response_start: int
    labels: tuple[bool, ...]
    right_until: int
    wrong_from: int
    marks: tuple[tuple[int, bool], ...] = ()


def build_row(problem: Problem, solution: str) -> Row | None:
    """Return the labelled steps of a solution; None if there are none, or far too many."""
    steps = split_steps(solution)
    if not 0 < len(steps) <= 16:
        return None
    text = render(prompts.reward(problem, steps))
    start = len(render(prompts.reward(problem, [])))
    labels = label_steps(problem, steps)
    if all(labels):
        return Row(text, start, tuple(labels), len(text), len(text))
    bad = labels.index(False)
    begin = start + sum(len(step) + len(prompts.STEP_TAG) for step in steps[:bad])
    expected = _expected(problem, steps, bad)
    if expected is None:
        return Row(text, start, tuple(labels), begin, begin + len(steps[bad]))
    same = commonprefix([expected, steps[bad]])  # noqa: RUF071 - of characters, not paths
    error = begin + len(same)
    return Row(text, start, tuple(labels), error, error)


def _expected(problem: Problem, steps: Sequence[str], bad: int) -> str | None:
    """Return what the first wrong step should have been, where that is one thing only."""
    if problem.metadata["task"] == "chain":
        right = chain.chain_of(problem).steps
        return right[bad] if bad < len(right) else ""
    found = _EQUATION.match(steps[bad])
    if found is None or (found[2] == "/" and int(found[3]) == 0):
        return None
    result = countdown.Move(int(found[1]), found[2], int(found[3])).result
    return None if result == int(found[4]) else f"{found[1]} {found[2]} {found[3]} = {result}"


def draw_slips(rng: random.Random) -> Row | None:
    """Draw a problem and steps of which half are slips, each with its mark; the end is cut off."""
    task = draw_task(rng, CHAIN_SHARE)
    slips = task.slips(rng)
    row = build_row(task.problem, "\n\n".join(s.text for s in slips))
    if row is None:
        return None
    marks, begin = [], row.response_start
    for one in slips:
        marks.append((begin + one.place, one.right))
        begin += len(one.text) + len(prompts.STEP_TAG)
    return replace(row, marks=tuple(marks))


def draw_pair(rng: random.Random, tried: Sequence[Tried]) -> list[Row]:
    """Draw a right and a wrong attempt at one problem, the policy's own or made up.

    How hard the problem looks tells nothing then; only the steps themselves do.
    """
    chosen = draw_tried(rng, tried, own_share=OWN_SHARE, chain_share=CHAIN_SHARE)
    right = build_row(chosen.task.problem, chosen.attempt(rng, True))
    wrong = build_row(chosen.task.problem, chosen.attempt(rng, False))
    if not (right and wrong):
        return [row for row in (right, wrong) if row]
    mark = wrong.wrong_from
    if wrong.right_until != mark or right.text[:mark] != wrong.text[:mark]:
        return [right, wrong]
    return [replace(right, marks=((mark, True),)), replace(wrong, marks=((mark, False),))]


def draw_row(rng: random.Random, tried: Sequence[Tried]) -> Row | None:
    """Draw an attempt, as often right as the policy is."""
    chosen = draw_tried(rng, tried, own_share=OWN_SHARE, chain_share=CHAIN_SHARE)
    own = [*chosen.right, *chosen.wrong]
    attempt = rng.choice(own) if own else chosen.attempt(rng, rng.random() < 0.5)
    return build_row(chosen.task.problem, attempt)
