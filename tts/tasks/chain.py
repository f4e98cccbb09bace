"""Chained arithmetic in words: one running value, one operation a step, an answer in 0-999."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from tts.errors import ProblemError
from tts.tasks.chain_wording import word_chain
from tts.tasks.splits import Levels, check_split, draw_in_split, find_boxed
from tts.types import Problem

MAX_VALUE = 999
_EQUATION = re.compile(r"(\d+) ?([-+*/]) ?(\d+) ?= ?(\d+)")


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: `kind` is add, sub, mul, div or from (the value is taken away from `operand`)."""

    kind: str
    operand: int

    def apply(self, value: int) -> int:
        """Return the value after this operation."""
        match self.kind:
            case "add":
                return value + self.operand
            case "sub":
                return value - self.operand
            case "mul":
                return value * self.operand
            case "div":
                return value // self.operand
            case _:
                return self.operand - value

    def equation(self, value: int, result: int | None = None) -> str:
        """Return the step as text, with the right result unless another is given."""
        shown = self.apply(value) if result is None else result
        if self.kind == "from":
            return f"{self.operand} - {value} = {shown}"
        sign = {"add": "+", "sub": "-", "mul": "*", "div": "/"}[self.kind]
        return f"{value} {sign} {self.operand} = {shown}"


@dataclass(frozen=True, slots=True)
class Level:
    """What a level draws: numbers of steps and distractors, kinds by weight, largest summand."""

    steps: tuple[int, int]
    kinds: dict[str, int]
    start: int
    summand: int
    distractors: tuple[int, int]


_SUMS = {"add": 1, "sub": 1}
_SOME = {"add": 2, "sub": 2, "mul": 1, "div": 1}
_ALL = {"add": 4, "sub": 4, "mul": 3, "div": 3, "from": 1}
LEVEL_TABLE = {
    1: Level((2, 3), _SUMS, 99, 99, (0, 0)),
    2: Level((5, 5), _SOME, 99, 99, (0, 0)),
    3: Level((7, 8), _ALL, 150, 250, (0, 1)),
    4: Level((9, 10), _ALL, 200, 400, (0, 2)),
    5: Level((11, 12), _ALL, 200, 400, (1, 2)),
}


@dataclass(frozen=True, slots=True)
class Chain:
    """A start value, operations on it, and the seed of its wording."""

    start: int
    operations: tuple[Operation, ...]
    num_distractors: int
    wording_seed: int

    @property
    def key(self) -> str:
        """The calculation alone."""
        return (
            "chain "
            + str(self.start)
            + "".join(f" {op.kind} {op.operand}" for op in self.operations)
        )

    @property
    def values(self) -> list[int]:
        """The running value after each operation, the start first."""
        values = [self.start]
        for operation in self.operations:
            values.append(operation.apply(values[-1]))
        return values

    @property
    def steps(self) -> list[str]:
        """The solution: one equation a step, then the boxed answer."""
        values = self.values
        pairs = zip(self.operations, values, strict=False)
        return [op.equation(value) for op, value in pairs] + [f"\\boxed{{{values[-1]}}}"]


def draw_operation(rng: random.Random, level: Level, value: int) -> Operation:
    """Draw an operation that keeps the running value in 1..999."""
    while True:
        kind = rng.choices(list(level.kinds), list(level.kinds.values()))[0]
        if kind == "add":
            high = min(level.summand, MAX_VALUE - value)
            low = 2
        elif kind == "sub":
            low, high = 2, min(level.summand, value - 1)
        elif kind == "from":
            low, high = value + 2, min(MAX_VALUE, value + level.summand)
        else:
            low, high = 2, 9
        if low > high:
            continue
        operand = rng.randint(low, high)
        if kind == "div" and value % operand:
            continue
        operation = Operation(kind, operand)
        if 0 < operation.apply(value) <= MAX_VALUE:
            return operation


def draw_chain(rng: random.Random, level: Level) -> Chain:
    """Draw a chain of a level."""
    value = start = rng.randint(2, level.start)
    operations: list[Operation] = []
    for _ in range(rng.randint(*level.steps)):
        operations.append(draw_operation(rng, level, value))
        value = operations[-1].apply(value)
    return Chain(start, tuple(operations), rng.randint(*level.distractors), rng.getrandbits(32))


def draw_training_chain(rng: random.Random, level: Level) -> Chain:
    """Draw a chain that belongs to the training split."""
    return draw_in_split(lambda r: draw_chain(r, level), "train", rng)


def state_chain(chain: Chain) -> str:
    """Return the problem's text."""
    operations = [(op.kind, op.operand) for op in chain.operations]
    return word_chain(
        random.Random(chain.wording_seed), chain.start, operations, chain.num_distractors
    )


def to_problem(chain: Chain, problem_id: str, level: int) -> Problem:
    """Return the chain as a problem that carries what its checks need."""
    return Problem(
        id=problem_id,
        statement=state_chain(chain),
        reference=str(chain.values[-1]),
        answer_type="integer",
        metadata={
            "task": "chain",
            "level": level,
            "start": chain.start,
            "operations": [[op.kind, op.operand] for op in chain.operations],
            "solution": "\n\n".join(chain.steps),
        },
    )


def chain_of(problem: Problem) -> Chain:
    """Return the calculation behind a problem of this task.

    Raises:
        ProblemError: The problem does not carry one.
    """
    try:
        operations = tuple(Operation(kind, k) for kind, k in problem.metadata["operations"])
        return Chain(int(problem.metadata["start"]), operations, 0, 0)
    except (KeyError, TypeError, ValueError) as error:
        raise ProblemError(
            f"{problem.id}: not a chain problem (metadata lacks start and operations)"
        ) from error


_LEVELS = Levels(
    task="chain",
    draws={level: partial(draw_chain, level=table) for level, table in LEVEL_TABLE.items()},
    to_problem=to_problem,
)
generate_problem = _LEVELS.problem


def problems(split: str, *, per_level: int = 200) -> Iterator[Problem]:
    """Yield problems of all levels in turn, so that any beginning is balanced."""
    name = check_split(split)
    columns = [islice(_LEVELS.problems(name, level), per_level) for level in LEVEL_TABLE]
    for row in zip(*columns, strict=True):
        yield from row


def check_answer(problem: Problem, answer: str) -> bool:
    """Say whether an answer is the right integer."""
    text = answer.strip().removesuffix(".").replace(",", "")
    return text.isdecimal() and int(text) == chain_of(problem).values[-1]


def label_steps(problem: Problem, steps: Sequence[str]) -> list[bool]:
    """Say of each step whether it and all before it are right.

    A step is right if it is the next operation on the value so far with the right result, or
    boxes the right answer after the last one. Works on finished and partial solutions.
    """
    chain = chain_of(problem)
    values, done, good = chain.values, 0, True
    labels: list[bool] = []
    for step in steps:
        if good and (boxed := find_boxed(step)) is not None:
            good = done == len(chain.operations) and check_answer(problem, boxed)
        elif good:
            good = done < len(chain.operations) and _is_step(
                step, chain.operations[done], values[done]
            )
            done += 1
        labels.append(good)
    return labels


def _is_step(step: str, operation: Operation, value: int) -> bool:
    """Compare with the expected equation; sums and products may be turned round."""
    found = _EQUATION.fullmatch(step.strip())
    if found is None:
        return False
    left, sign, right, result = found.groups()
    sides = {(int(left), int(right))}
    if sign in "+*":
        sides.add((int(right), int(left)))
    expected = _EQUATION.fullmatch(operation.equation(value))
    assert expected is not None, "an equation that we wrote parses"
    return (
        sign == expected[2]
        and (int(expected[1]), int(expected[3])) in sides
        and int(result) == int(expected[4])
    )
