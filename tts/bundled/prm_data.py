"""Steps with exact labels for the process reward model: made up, and the policy's own."""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tts import prompts
from tts.bundled.attempts import Task, chain_task, countdown_task
from tts.bundled.corpus import render
from tts.tasks import chain, countdown
from tts.tasks.splits import split_steps
from tts.types import Problem


@dataclass(frozen=True, slots=True)
class Row:
    """What the model reads, where the solution begins, and the label of each step tag."""

    text: str
    response_start: int
    labels: tuple[bool, ...]


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
    return Row(text, start, tuple(label_steps(problem, steps)))


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
            yield Row(row["text"], row["response_start"], tuple(row["labels"]))
