"""Solutions, wrong attempts, checks and thoughts about one training problem."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tts.tasks import chain, countdown
from tts.tasks.chain import LEVEL_TABLE, Chain, Level, Operation
from tts.tasks.countdown import Move, Puzzle
from tts.tasks.splits import split_steps
from tts.types import Problem

Span = tuple[int, int]
_KINDS = {"add": 4, "sub": 4, "mul": 3, "div": 3, "from": 2}
# Any level and beyond, so that the levels may move without new training.
_WIDE = Level((1, 9), _KINDS, 200, 400, (0, 2))


class Task(Protocol):
    """What the corpus asks of a training problem."""

    @property
    def problem(self) -> Problem:
        """The problem itself."""
        ...

    @property
    def solution(self) -> str:
        """Right steps and the boxed answer."""
        ...

    @property
    def boxed(self) -> str:
        """The boxed answer alone."""
        ...

    def wrong(self, rng: random.Random) -> str:
        """Return an attempt that ends wrongly."""
        ...

    def check(self, attempt: str) -> str:
        """Return a check of each step that ends with the right verdict."""
        ...

    def outcome(self, attempt: str) -> str:
        """Return the number that an attempt ends with."""
        ...

    def thought(self, rng: random.Random) -> tuple[str, list[Span]]:
        """Return a thought with self-checks, and the spans of its planted errors."""
        ...


def slip(rng: random.Random, value: int) -> int:
    """Return a near miss of a result: one digit off, a lost carry, another digit."""
    while True:
        kind = rng.random()
        if kind < 0.5:
            place = (1, 10, 100)[rng.randrange(len(str(value)))]
            wrong = value + rng.choice((-1, 1)) * place * rng.choice((1, 1, 1, 2))
        elif kind < 0.7:
            wrong = value + rng.choice((-10, 10, -100, 100))
        elif kind < 0.85:
            digits = list(str(value))
            digits[rng.randrange(len(digits))] = str(rng.randrange(10))
            wrong = int("".join(digits))
        else:
            wrong = value + rng.randint(-12, 12)
        if wrong != value and 0 <= wrong <= 999:
            return wrong


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

    def check(self, attempt: str) -> str:
        """Work each step out again until one differs."""
        lines, value = [], self.chain.start
        steps = split_steps(attempt)
        for operation, label in zip(
            self.chain.operations, chain.label_steps(self.problem, steps), strict=False
        ):
            lines.append(f"{operation.equation(value)}, {'right' if label else 'wrong'}")
            value = operation.apply(value)
            if not label:
                break
        right = chain.label_steps(self.problem, steps)[-1]
        return "\n\n".join([*lines, f"Verdict: {'correct' if right else 'incorrect'}"])

    def outcome(self, attempt: str) -> str:
        """Return the boxed number."""
        return split_steps(attempt)[-1].removeprefix("\\boxed{").removesuffix("}")

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


@dataclass(frozen=True, slots=True)
class CountdownTask:
    """A puzzle of the training split."""

    problem: Problem
    puzzle: Puzzle

    @property
    def solution(self) -> str:
        """Right steps and the boxed answer."""
        steps = countdown.format_steps(self.puzzle.numbers, self.puzzle.moves)
        return "\n\n".join([*steps, self.boxed])

    @property
    def boxed(self) -> str:
        """The boxed answer alone."""
        return countdown.format_answer(self.puzzle.moves)

    def wrong(self, rng: random.Random) -> str:
        """Miss the target, or claim it with a false equation."""
        moves = self._miss(rng)
        steps = countdown.format_steps(self.puzzle.numbers, moves)
        shown = [m.text for m in moves]
        if rng.random() < 0.6:
            claimed = self.puzzle.target if rng.random() < 0.8 else slip(rng, moves[-1].result)
            shown[-1] = shown[-1].split(" = ")[0] + f" = {claimed}"
            steps[-1] = shown[-1]
        answer = ", ".join(text.replace(" ", "") for text in shown)
        return "\n\n".join([*steps, f"\\boxed{{{answer}}}"])

    def check(self, attempt: str) -> str:
        """Work each equation out again; then compare the end with the target."""
        lines: list[str] = []
        right = True
        value = 0
        for step in split_steps(attempt)[:-1]:
            left, sign, second = step.split(" = ")[0].split(" ")
            move = Move(int(left), sign, int(second))
            value = move.result
            right = countdown.parse_move(step.split(", left")[0]) is not None
            lines.append(f"{move.text}, {'right' if right else 'wrong'}")
            if not right:
                break
        if right and value != self.puzzle.target:
            lines.append(f"{value} is not {self.puzzle.target}, wrong")
            right = False
        return "\n\n".join([*lines, f"Verdict: {'correct' if right else 'incorrect'}"])

    def outcome(self, attempt: str) -> str:
        """Return the true value of the last equation."""
        last = split_steps(attempt)[-2].split(" = ")[0].split(" ")
        return str(Move(int(last[0]), last[1], int(last[2])).result)

    def thought(self, rng: random.Random) -> tuple[str, list[Span]]:
        """Try, see that the end is not the target, start again, until it is."""
        text, spans = "", []
        target = self.puzzle.target
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3))):
            moves = self._miss(rng)
            tried = "\n\n".join(countdown.format_steps(self.puzzle.numbers, moves))
            spans.append((len(text), len(text) + len(tried)))
            text += f"{tried}\n\nWait, {moves[-1].result} is not {target}. Start again.\n\n"
        steps = countdown.format_steps(self.puzzle.numbers, self.puzzle.moves)
        return text + "\n\n".join([*steps, f"{target} is right.\n\n"]), spans

    def _miss(self, rng: random.Random) -> Sequence[Move]:
        while True:
            moves = countdown.draw_moves(rng, self.puzzle.numbers)
            if moves[-1].result != self.puzzle.target:
                return moves


def chain_task(rng: random.Random) -> ChainTask:
    """Draw a training chain: mostly of the five levels, else of any length."""
    level = rng.choice((1, 2, 3, 3, 4, 4, 5, 0))
    drawn = chain.draw_training_chain(rng, LEVEL_TABLE.get(level, _WIDE))
    return ChainTask(chain.to_problem(drawn, "train", level), drawn)


def countdown_task(rng: random.Random) -> CountdownTask:
    """Draw a training puzzle of three to five numbers."""
    level = rng.choice((1, 2, 3))
    puzzle = countdown.draw_training_puzzle(rng, countdown.NUMBERS_BY_LEVEL[level])
    return CountdownTask(countdown.to_problem(puzzle, "train", level), puzzle)
