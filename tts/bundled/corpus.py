"""Training texts: every behaviour of the policy on problems of the training split.

An endless stream that depends on the seed alone: example i of a seed is always the same.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tts import prompts
from tts.bundled.attempts import Task, chain_task, countdown_task
from tts.types import Prompt

TURN_END = "<|im_end|>"


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt and response.

    Attributes:
        prompt: Rendered by the chat template, up to the assistant's first word.
        response: What the model learns to write.
        unlearned: Character spans of `response` without loss: errors put in on purpose.
    """

    prompt: str
    response: str
    unlearned: tuple[tuple[int, int], ...] = ()


# Relative weights of behaviours while the arithmetic is learned, and afterwards.
FIRST = {"solve": 80, "answer": 3, "think": 7, "revise": 5, "verify": 4, "choose": 1}
LATER = {"solve": 50, "answer": 4, "think": 13, "revise": 15, "verify": 14, "choose": 4}

CHAIN_SHARE = 0.45  # of the examples; the rest is countdown


def render(prompt: Prompt) -> str:
    """Return a prompt as the chat template renders it."""
    turns = [f"<|im_start|>{m.role}\n{m.content}{TURN_END}\n" for m in prompt.messages]
    return "".join(turns) + "<|im_start|>assistant\n" + prompt.prefill


def draw_example(
    rng: random.Random, weights: dict[str, int], chain_share: float = CHAIN_SHARE
) -> Example:
    """Draw one example of the mixture."""
    task = chain_task(rng) if rng.random() < chain_share else countdown_task(rng)
    behaviour = rng.choices(list(weights), list(weights.values()))[0]
    return _BEHAVIOURS[behaviour](rng, task)


def examples(
    seed: int, weights: dict[str, int], *, start: int = 0, chain_share: float = CHAIN_SHARE
) -> Iterator[Example]:
    """Yield the stream of a seed from position `start` on."""
    index = start
    while True:
        yield draw_example(random.Random(f"{seed}/{index}"), weights, chain_share)
        index += 1


def write_corpus(path: Path, count: int, seed: int) -> None:
    """Write the first examples as JSON Lines."""
    with path.open("w", encoding="utf-8") as file:
        for example in islice(examples(seed, LATER), count):
            row = {"prompt": example.prompt, "response": example.response}
            file.write(json.dumps(row) + "\n")


def _solve(rng: random.Random, task: Task) -> Example:
    return Example(render(prompts.solve(task.problem)), task.solution + TURN_END)


def _answer(rng: random.Random, task: Task) -> Example:
    prompt = render(prompts.solve_without_thinking(task.problem))
    return Example(prompt, task.boxed + TURN_END)


def _think(rng: random.Random, task: Task) -> Example:
    text, unlearned = task.thought(rng)
    prompt = render(prompts.solve_thinking(task.problem))
    return Example(prompt, f"{text}</think>\n\n{task.boxed}{TURN_END}", tuple(unlearned))


def _revise(rng: random.Random, task: Task) -> Example:
    attempt = task.wrong(rng) if rng.random() < 0.5 else task.solution
    return Example(render(prompts.revise(task.problem, attempt)), task.solution + TURN_END)


def _verify(rng: random.Random, task: Task) -> Example:
    attempt = task.wrong(rng) if rng.random() < 0.5 else task.solution
    prompt = render(prompts.verify(task.problem, attempt))
    return Example(prompt, task.check(attempt) + TURN_END)


def _choose(rng: random.Random, task: Task) -> Example:
    share = rng.uniform(0.2, 0.9)
    count = rng.randint(2, 8)
    attempts = [task.solution if rng.random() < share else task.wrong(rng) for _ in range(count)]
    if task.solution not in attempts:
        attempts[rng.randrange(count)] = task.solution
    prompt = render(prompts.choose(task.problem, attempts))
    ends = ", ".join(task.outcome(attempt) for attempt in attempts)
    return Example(prompt, f"Results: {ends}.\n\n{task.boxed}{TURN_END}")


_BEHAVIOURS: dict[str, Callable[[random.Random, Task], Example]] = {
    "solve": _solve,
    "answer": _answer,
    "think": _think,
    "revise": _revise,
    "verify": _verify,
    "choose": _choose,
}
