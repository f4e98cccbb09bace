"""Solutions, wrong attempts, checks and thoughts about a chain of the training split."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tts.bundled.attempts import Slip, Span, compare, judge, slip, throw
from tts.tasks import chain
from tts.tasks.chain import LEVEL_TABLE, MAX_VALUE, Chain, Level, Operation
from tts.tasks.splits import split_steps
from tts.types import Problem

MAX_DISTRACTORS = 240
_KINDS = {"add": 4, "sub": 4, "mul": 3, "div": 3, "from": 2}
# Any level and beyond, so that the levels may move without new training.
_WIDE = Level((1, 12), _KINDS, 200, 400, (0, 2))


@dataclass(frozen=True, slots=True)
class ChainTask:
    """A chain of the training split."""

    problem: Problem
    chain: Chain

    @property
    def solution(self) -> str:
        """Right steps and the boxed answer."""
        return "\n\n".join(self.chain.steps)

    @property
    def boxed(self) -> str:
        """The boxed answer alone."""
        return self.chain.steps[-1]

    def wrong(self, rng: random.Random) -> str:
        """Slip at one step at least; sometimes leave a step out instead."""
        operations = list(self.chain.operations)
        first = rng.randrange(len(operations))
        if len(operations) > 1 and rng.random() < 0.12:
            del operations[first]
            first = -1
        value, steps = self.chain.start, []
        for index, operation in enumerate(operations):
            result = max(0, min(999, abs(operation.apply(value))))
            if index == first or (index > first >= 0 and rng.random() < 0.1):
                result = slip(rng, result)
            steps.append(operation.equation(value, result))
            value = result
        if value == self.chain.values[-1]:
            return self.wrong(rng)
        return "\n\n".join([*steps, f"\\boxed{{{value}}}"])

    def slips(self, rng: random.Random) -> list[Slip]:
        """Go on from each result as it is written, while it stays a legal value."""
        value, steps = self.chain.start, []
        for operation in self.chain.operations:
            if not 0 <= operation.apply(value) <= MAX_VALUE:
                break
            steps.append(throw(rng, operation.equation(value)))
            value = steps[-1].result
        return steps

    def check(self, attempt: str) -> str:
        """Work each step out again, beside the attempt's, until one is wrong."""
        steps = split_steps(attempt)
        labels = chain.label_steps(self.problem, steps)
        missing = len(self.chain.steps) - len(steps)
        lines = map(
            compare, self.chain.steps, [*steps, *[""] * missing], [*labels, *[False] * missing]
        )
        return judge(lines)

    def choose(self, attempts: Sequence[str]) -> str:
        """Merge: write each step as most attempts that are right so far have it."""
        return self.solution

    def thought(self, rng: random.Random) -> tuple[str, list[Span]]:
        """Check each step by its inverse; some first tries are slips, found and mended."""
        text, spans, value = "", [], self.chain.start
        for operation in self.chain.operations:
            result = operation.apply(value)
            if rng.random() < 0.15:
                wrong = slip(rng, result)
                if (back := _inverse(operation, value, wrong)) is not None:
                    equation = operation.equation(value, wrong)
                    end = len(text) + len(equation)
                    spans.append((end - len(str(wrong)), end))
                    text += f"{equation}\nCheck: {back}\nWait, "
            text += f"{operation.equation(value)}\nCheck: {_inverse(operation, value, result)}\n\n"
            value = result
        return text, spans


def _inverse(operation: Operation, value: int, result: int) -> str | None:
    """Return the equation that undoes a step; None where it leaves the natural numbers."""
    k = operation.operand
    match operation.kind:
        case "add":
            return f"{result} - {k} = {result - k}" if result >= k else None
        case "sub":
            return f"{result} + {k} = {result + k}"
        case "mul":
            rest = f" r {result % k}" if result % k else ""
            return f"{result} / {k} = {result // k}{rest}"
        case "div":
            return f"{result} * {k} = {result * k}"
        case _:
            return f"{result} + {value} = {result + value}"


def chain_task(rng: random.Random) -> ChainTask:
    """Draw a training chain: mostly of the five levels, else of any length."""
    level = rng.choice((1, 2, 3, 4, 4, 5, 5, 0))
    drawn = chain.draw_training_chain(rng, LEVEL_TABLE.get(level, _WIDE))
    return ChainTask(chain.to_problem(drawn, "train", level), drawn)


def long_chain_task(rng: random.Random) -> ChainTask:
    """Draw a training chain lost among sentences that do not matter, up to about 2,000 tokens."""
    drawn = chain.draw_training_chain(rng, LEVEL_TABLE[rng.choice((1, 2, 3))])
    drawn = replace(drawn, num_distractors=rng.randint(10, MAX_DISTRACTORS))
    return ChainTask(chain.to_problem(drawn, "train", 0), drawn)
