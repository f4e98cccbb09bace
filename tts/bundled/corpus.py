"""Training texts: every behaviour of the policy on problems of the training split.

An endless stream that depends on the seed alone: example i of a seed is always the same.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tts import prompts
from tts.bundled.attempts import Task, think
from tts.bundled.chain_attempts import chain_task, long_chain_task
from tts.bundled.countdown_attempts import countdown_task
from tts.tasks.labels import is_right
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
LATER = {"solve": 42, "answer": 3, "think": 9, "revise": 18, "verify": 20, "choose": 6, "long": 2}

ONLY_SOLVE = {"solve": 1}  # what a draft model is for

CHAIN_SHARE = 0.45  # of the examples; the rest is countdown
OWN_SHARE = 0.6  # of the examples, once the policy has tried training problems itself
MAX_ATTEMPT = 600  # characters; longer ones of the policy's own have lost their way


@dataclass(frozen=True, slots=True)
class Tried:
    """A training problem and the policy's own attempts at it."""

    task: Task
    right: tuple[str, ...]
    wrong: tuple[str, ...]

    def attempt(self, rng: random.Random, right: bool) -> str:
        """Return an attempt of the kind asked, made up where the policy made none."""
        own = self.right if right else self.wrong
        if own:
            return rng.choice(own)
        return self.task.solution if right else self.task.wrong(rng)

    def attempts(self, rng: random.Random, count: int) -> list[str]:
        """Return several attempts: the policy's own as they fell, made up ones by a drawn share."""
        own = [*self.right, *self.wrong]
        if len(own) >= count:
            return rng.sample(own, count)
        share = rng.uniform(0.2, 0.9)
        return [self.attempt(rng, rng.random() < share) for _ in range(count)]


def render(prompt: Prompt) -> str:
    """Return a prompt as the chat template renders it."""
    turns = [f"<|im_start|>{m.role}\n{m.content}{TURN_END}\n" for m in prompt.messages]
    return "".join(turns) + "<|im_start|>assistant\n" + prompt.beginning


def draw_task(rng: random.Random, chain_share: float = CHAIN_SHARE) -> Task:
    """Draw a training problem of either task."""
    return chain_task(rng) if rng.random() < chain_share else countdown_task(rng)


def draw_tried(
    rng: random.Random, tried: Sequence[Tried], *, own_share: float, chain_share: float
) -> Tried:
    """Draw a problem that the policy has tried, `own_share` of the times, or a new one."""
    if tried and rng.random() < own_share:
        return rng.choice(tried)
    return Tried(draw_task(rng, chain_share), (), ())


def draw_example(
    rng: random.Random,
    weights: dict[str, int],
    chain_share: float = CHAIN_SHARE,
    tried: Sequence[Tried] = (),
) -> Example:
    """Draw one example of the mixture; attempts are the policy's own where it has `tried`."""
    behaviour = rng.choices(list(weights), list(weights.values()))[0]
    if behaviour in _OF_ATTEMPTS:
        chosen = draw_tried(rng, tried, own_share=OWN_SHARE, chain_share=chain_share)
        return _OF_ATTEMPTS[behaviour](rng, chosen)
    return _OF_PROBLEMS[behaviour](rng, draw_task(rng, chain_share))


def examples(
    seed: int,
    weights: dict[str, int],
    *,
    start: int = 0,
    chain_share: float = CHAIN_SHARE,
    tried: Sequence[Tried] = (),
) -> Iterator[Example]:
    """Yield the stream of a seed from position `start` on."""
    index = start
    while True:
        yield draw_example(random.Random(f"{seed}/{index}"), weights, chain_share, tried)
        index += 1


def write_corpus(path: Path, count: int, seed: int) -> None:
    """Write the first examples as JSON Lines."""
    with path.open("w", encoding="utf-8") as file:
        for example in islice(examples(seed, LATER), count):
            row = {"prompt": example.prompt, "response": example.response}
            file.write(json.dumps(row) + "\n")


def tried_task(index: int) -> Task:
    """Return the training problem that the policy tries as number `index`."""
    return draw_task(random.Random(f"tried/{index}"))


def write_tried(path: Path, texts: Sequence[Sequence[str]]) -> None:
    """Write the policy's attempts; row i belongs to `tried_task(i)`."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in texts)


def load_tried(path: Path) -> list[Tried]:
    """Read attempts and label them; nothing if the policy has not tried yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return [_label(tried_task(index), json.loads(line)) for index, line in enumerate(file)]


def _label(task: Task, texts: Sequence[str]) -> Tried:
    attempts: dict[bool, list[str]] = {True: [], False: []}
    for text in texts:
        if len(text) <= MAX_ATTEMPT:
            attempts[is_right(task.problem, text)].append(text)
    return Tried(task, tuple(attempts[True]), tuple(attempts[False]))


def _solve(rng: random.Random, task: Task) -> Example:
    return Example(render(prompts.solve(task.problem)), task.solution + TURN_END)


def _solve_long(rng: random.Random, _: Task) -> Example:
    return _solve(rng, long_chain_task(rng))


def _answer(rng: random.Random, task: Task) -> Example:
    prompt = render(prompts.solve_without_thinking(task.problem))
    return Example(prompt, task.boxed + TURN_END)


def _think(rng: random.Random, task: Task) -> Example:
    text, unlearned = task.thought(rng)
    prompt = render(prompts.solve_thinking(task.problem))
    return Example(prompt, f"{text}</think>\n\n{task.boxed}{TURN_END}", tuple(unlearned))


def _revise(rng: random.Random, tried: Tried) -> Example:
    right = rng.random() < 0.5
    attempt = tried.attempt(rng, right)
    check = think(tried.task.check(attempt), attempt if right else tried.task.solution)
    return Example(render(prompts.revise(tried.task.problem, attempt)), check + TURN_END)


def _verify(rng: random.Random, tried: Tried) -> Example:
    attempt = tried.attempt(rng, rng.random() < 0.5)
    prompt = render(prompts.verify(tried.task.problem, attempt))
    return Example(prompt, tried.task.check(attempt) + TURN_END)


def _choose(rng: random.Random, tried: Tried) -> Example:
    attempts = tried.attempts(rng, rng.randint(2, 8))
    prompt = render(prompts.choose(tried.task.problem, attempts))
    return Example(prompt, tried.task.choose(attempts) + TURN_END)


_OF_PROBLEMS: dict[str, Callable[[random.Random, Task], Example]] = {
    "solve": _solve,
    "long": _solve_long,
    "answer": _answer,
    "think": _think,
}
_OF_ATTEMPTS: dict[str, Callable[[random.Random, Tried], Example]] = {
    "revise": _revise,
    "verify": _verify,
    "choose": _choose,
}
