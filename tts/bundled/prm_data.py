"""Steps with exact labels for the process reward model: made up, and the policy's own."""

import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from os.path import commonprefix
from pathlib import Path

from tts import prompts
from tts.bundled.attempts import Task, chain_task, countdown_task
from tts.bundled.corpus import render
from tts.tasks import chain, countdown
from tts.tasks.splits import split_steps
from tts.types import Problem

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
    """

    text: str
    response_start: int
    labels: tuple[bool, ...]
    right_until: int
    wrong_from: int


def label_steps(problem: Problem, steps: Sequence[str]) -> list[bool]:
    """Label steps of a problem of either task."""
    if problem.metadata["task"] == "chain":
        return chain.label_steps(problem, steps)
    return countdown.label_steps(problem, steps)


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


def draw_row(rng: random.Random) -> Row:
    """Draw a problem and a right or a wrong attempt."""
    task: Task = chain_task(rng) if rng.random() < 0.6 else countdown_task(rng)
    attempt = task.wrong(rng) if rng.random() < 0.6 else task.solution
    row = build_row(task.problem, attempt)
    assert row is not None, "an attempt has steps"
    return row


def train_problems(count: int, seed: int) -> list[Problem]:
    """Draw problems of the training split, half of each task, for the policy to try."""
    rng = random.Random(f"prm/{seed}")
    tasks = (chain_task, countdown_task)
    return [tasks[i % 2](rng).problem for i in range(count)]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON Lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)


def load_rows(path: Path) -> Iterator[Row]:
    """Read rows that `write_rows` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield Row(
                row["text"],
                row["response_start"],
                tuple(row["labels"]),
                row["right_until"],
                row["wrong_from"],
            )
