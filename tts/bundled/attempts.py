"""Solutions, wrong attempts, checks and thoughts about one training problem."""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os.path import commonprefix
from typing import Protocol

from tts.tasks import chain, countdown
from tts.tasks.chain import LEVEL_TABLE, MAX_VALUE, Chain, Level, Operation
from tts.tasks.countdown import Move, Puzzle
from tts.tasks.splits import find_boxed, split_steps
from tts.types import Problem

Span = tuple[int, int]
MAX_DISTRACTORS = 240
MAX_SHOWN = 60  # characters of an attempt's step that a check repeats
_KINDS = {"add": 4, "sub": 4, "mul": 3, "div": 3, "from": 2}
# Any level and beyond, so that the levels may move without new training.
_WIDE = Level((1, 12), _KINDS, 200, 400, (0, 2))


@dataclass(frozen=True, slots=True)
class Slip:
    """A step that may be one: its text, whether it is right, and the character that tells."""

    text: str
    right: bool
    place: int
    result: int


def _throw(rng: random.Random, head: str, result: int) -> Slip:
    """Write a result after `head`, or a slip instead; both part at the same place."""
    wrong = slip(rng, result)
    right = rng.random() < 0.5
    place = len(commonprefix([str(result), str(wrong)]))  # noqa: RUF071 - of characters
    shown = result if right else wrong
    return Slip(f"{head}{shown}", right, len(head) + place, shown)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a check: what was worked out beside what the attempt has, and the judgement."""

    text: str
    right: bool


def _compare(own: str, step: str, right: bool) -> Line:
    shown = " ".join(step.split())[:MAX_SHOWN]
    return Line(f"{own}; attempt {shown or 'ends'}", right)


def _judge(lines: Iterable[Line]) -> str:
    """Write a check: its lines up to the first that is wrong, and the verdict."""
    texts, right = [], True
    for line in lines:
        right = right and line.right
        texts.append(f"{line.text}, {'right' if right else 'wrong'}")
        if not right:
            break
    return "\n\n".join([*texts, f"Verdict: {'correct' if right else 'incorrect'}"])


def think(thought: str, answer: str) -> str:
    """Put a thought before an answer, as reasoning models do."""
    return f"<think>\n{thought}\n</think>\n\n{answer}"


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

    def slips(self, rng: random.Random) -> list[Slip]:
        """Return steps of which each is a slip or not by the throw of a coin."""
        ...

    def check(self, attempt: str) -> str:
        """Return a check of each step that ends with the right verdict."""
        ...

    def choose(self, attempts: Sequence[str]) -> str:
        """Return the answer to a choice among attempts."""
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

    def slips(self, rng: random.Random) -> list[Slip]:
        """Go on from each result as it is written, while it stays a legal value."""
        value, steps = self.chain.start, []
        for operation in self.chain.operations:
            result = operation.apply(value)
            if not 0 <= result <= MAX_VALUE:
                break
            head = operation.equation(value).rpartition(" ")[0] + " "
            steps.append(_throw(rng, head, result))
            value = steps[-1].result
        return steps

    def check(self, attempt: str) -> str:
        """Work each step out again, beside the attempt's, until one is wrong."""
        steps = split_steps(attempt)
        labels = chain.label_steps(self.problem, steps)
        missing = len(self.chain.steps) - len(steps)
        lines = map(
            _compare, self.chain.steps, [*steps, *[""] * missing], [*labels, *[False] * missing]
        )
        return _judge(lines)

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

    def slips(self, rng: random.Random) -> list[Slip]:
        """Make random moves on the numbers, going on from each result as it is written."""
        left, steps = list(self.puzzle.numbers), []
        while len(left) > 1:
            first, second = rng.sample(left, 2)
            moves = countdown.moves_between(first, second)
            legal = [m for m in moves if 0 < m.result <= MAX_VALUE]
            if not legal:  # two zeros, say
                break
            move = rng.choice(legal)
            thrown = _throw(rng, f"{move.left} {move.sign} {move.right} = ", move.result)
            left.remove(first)
            left.remove(second)
            left.append(thrown.result)
            tail = f", left {' '.join(map(str, left))}" if len(left) > 1 else ""
            steps.append(replace(thrown, text=thrown.text + tail))
        return steps

    def check(self, attempt: str) -> str:
        """Work each equation out again, beside the attempt's, then compare with the target."""
        return _judge(self._lines(split_steps(attempt)))

    def _lines(self, steps: Sequence[str]) -> Iterator[Line]:
        left: list[int] = list(self.puzzle.numbers)
        for step in [*steps, ""]:
            if len(left) == 1:
                yield self._end(left[0], step)
                return
            own = countdown.work_out(step, left)
            if own is None:
                yield _compare("not possible", step, False)
                return
            text, after = own
            yield _compare(text, step, countdown.numbers_after(step, left) is not None)
            left = after

    def choose(self, attempts: Sequence[str]) -> str:
        """Compare the attempts' ends with the target, then write the first that meets it."""
        lines = []
        for index, attempt in enumerate(attempts, start=1):
            right = countdown.label_steps(self.problem, split_steps(attempt))[-1]
            lines.append(f"{index}: {self._last_value(attempt)}, {'right' if right else 'wrong'}")
            if right:
                return think("\n".join(lines), attempt)
        return think("\n".join(lines), self.solution)

    def _end(self, value: int, step: str) -> Line:
        target = self.puzzle.target
        boxed = find_boxed(step)
        right = boxed is not None and countdown.check_answer(self.problem, boxed)
        return Line(f"{value} is {'' if value == target else 'not '}{target}", right)

    def _last_value(self, attempt: str) -> str:
        """Return the last equation before the box, with its true value."""
        last = [s for s in split_steps(attempt) if find_boxed(s) is None][-1:]
        found = [int(n) for n in re.findall(r"\d+", "".join(last))]
        own = countdown.work_out(last[0], found[:2]) if len(found) > 1 else None
        return own[0] if own else "not possible"

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
    level = rng.choice((1, 2, 3, 4, 4, 5, 5, 0))
    drawn = chain.draw_training_chain(rng, LEVEL_TABLE.get(level, _WIDE))
    return ChainTask(chain.to_problem(drawn, "train", level), drawn)


def long_chain_task(rng: random.Random) -> ChainTask:
    """Draw a training chain lost among sentences that do not matter, up to about 2,000 tokens."""
    drawn = chain.draw_training_chain(rng, LEVEL_TABLE[rng.choice((1, 2, 3))])
    drawn = replace(drawn, num_distractors=rng.randint(10, MAX_DISTRACTORS))
    return ChainTask(chain.to_problem(drawn, "train", 0), drawn)


def countdown_task(rng: random.Random) -> CountdownTask:
    """Draw a training puzzle of three to five numbers."""
    level = rng.choice((1, 2, 3))
    puzzle = countdown.draw_training_puzzle(rng, countdown.NUMBERS_BY_LEVEL[level])
    return CountdownTask(countdown.to_problem(puzzle, "train", level), puzzle)
