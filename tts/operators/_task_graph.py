"""A plan's tasks and what they need of each other: read, checked, changed, measured; nothing runs.

A task is one line, `3. tool("argument", $1)`; `$1` or `${1}` is what task 1 has found. The text is
a model's: nothing of it is evaluated, and what a task has found is put into arguments that have
been read already, so that it can neither refer to another task nor end its argument.
"""

import ast
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from tts.types import Trajectory

END_OF_PLAN = "<END_OF_PLAN>"
JOIN = "join"
_LINE = re.compile(r"\s*(\d{1,6})[.)]\s*(\w+)\s*\((.*)\)\s*(?:#.*)?", re.DOTALL)
_DROP = re.compile(r"\s*drop\s+\$?(\d{1,6})\W*", re.IGNORECASE)
# "$3600.00" is an amount of money, whatever the planner was told.
_REFERENCE = re.compile(r"\$\{(\d{1,6})\}|\$(\d{1,6})(?!\d|\.\d)")
_QUOTED_OR_REFERENCE = re.compile(
    r'"(?:\\.|[^"\\])*"|' + r"'(?:\\.|[^'\\])*'|" + r"\$\{\d{1,6}\}|\$\d{1,6}"
)
_BARE = re.compile(r"[\w.,/%+-]{1,80}")


@dataclass(frozen=True, slots=True)
class Task:
    """A call of a tool.

    Attributes:
        number: Its own in the plan.
        tool: Name.
        arguments: With references as they were written.
        text: The call as it was written.
        needs: Numbers of the tasks whose findings it is given.
    """

    number: int
    tool: str
    arguments: tuple[str, ...] = ()
    text: str = ""
    needs: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Observation:
    """What a task has found.

    Attributes:
        text: It, or what went wrong.
        is_error: It went wrong.
        begin: Moment at which it began, in seconds of the run's clock.
        end: Moment at which it ended.
        trajectory: The attempt that it stems from, if a model was asked.
    """

    text: str
    is_error: bool = False
    begin: float = 0.0
    end: float = 0.0
    trajectory: Trajectory | None = None

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin

    @property
    def tokens(self) -> int:
        """Tokens of the attempt."""
        made = self.trajectory
        return 0 if made is None else max(made.usage.generated_tokens or 0, len(made.token_ids))


def parse_task(line: str) -> Task | None:
    """Return the task of a line; None for another line."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    number, tool, inside = match.groups()
    arguments = _arguments(inside.strip())
    return Task(int(number), tool, arguments, f"{tool}({inside.strip()})", needs_of(arguments))


def needs_of(arguments: Iterable[str]) -> frozenset[int]:
    """Return the numbers of the tasks that arguments refer to."""
    found = (match for argument in arguments for match in _REFERENCE.finditer(argument))
    return frozenset(int(match[1] or match[2]) for match in found)


def read_changes(text: str) -> list[Task | int]:
    """Return the tasks that a text's lines add or rewrite, and the numbers of those they drop."""
    changes: list[Task | int] = []
    for line in text.splitlines():
        task, dropped = parse_task(line), _DROP.fullmatch(line)
        if task is not None and task.tool != JOIN:
            changes.append(task)
        elif dropped:
            changes.append(int(dropped[1]))
    return changes


def clip(text: str, limit: int) -> str:
    """Return a text, or `limit` characters of both its ends and how much is left out."""
    if len(text) <= limit:
        return text
    head, left_out = limit * 2 // 3, len(text) - limit
    return f"{text[:head]} ... {left_out:,} characters left out ... {text[head + left_out :]}"


def show(text: str) -> str:
    """Return what was found on one line: a number or a word as it is, all else in quotes."""
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


@dataclass(slots=True)
class TaskGraph:
    """Tasks, those of them that have been started, and what has been found.

    Attributes:
        tools: Names of those that may be called.
        max_tasks: Most tasks.
        tasks: By number.
        started: Numbers.
        found: By number; a task that cannot run has an error here and is never started.
        dropped: How many tasks were dropped or rewritten.
    """

    tools: Collection[str]
    max_tasks: int
    tasks: dict[int, Task] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    found: dict[int, Observation] = field(default_factory=dict)
    dropped: int = 0

    def add(self, task: Task) -> str:
        """Add a task; returns what is wrong, or nothing.

        A task that cannot run is kept with what is wrong as its finding, so that whoever reads the
        findings learns it; only one whose number is taken, or that is one too many, is left out.
        """
        if task.number in self.tasks:
            return f"there is a task {task.number} already"
        if len(self.tasks) >= self.max_tasks:
            return f"there are {self.max_tasks} tasks, and no more are taken"
        wrong = self._fault(task)
        self.tasks[task.number] = task
        if wrong:
            self.settle(task.number, Observation(f"error: {wrong}", is_error=True))
        return wrong

    def change(self, task: Task) -> str:
        """Add a task, or put it in the place of one that was not started; returns what is wrong."""
        if task.number not in self.tasks:
            return self.add(task)
        if wrong := self._fixed(task.number) or self._fault(task):
            return wrong
        waiting = [
            other
            for number, other in self.tasks.items()
            if number not in self.found and number != task.number
        ]
        try:
            _order([*waiting, task])
        except CycleError:
            return f"task {task.number} would wait for itself"
        self.tasks[task.number] = task
        self.dropped += 1
        return ""

    def drop(self, number: int) -> str:
        """Take a task out that was not started and that none needs; returns what is wrong."""
        if number not in self.tasks:
            return f"there is no task {number}"
        if wrong := self._fixed(number):
            return wrong
        if readers := [n for n, task in self.tasks.items() if number in task.needs]:
            return f"task {min(readers)} needs task {number}"
        del self.tasks[number]
        self.dropped += 1
        return ""

    def settle(self, number: int, observation: Observation) -> None:
        """Keep what a task has found; what needs a task that failed can never run."""
        waiting = [(number, observation)]
        while waiting:
            which, what = waiting.pop()
            self.found[which] = what
            if not what.is_error:
                continue
            text = f"error: it needs task {which}, which failed"
            waiting += [
                (reader, Observation(text, is_error=True))
                for reader, task in self.tasks.items()
                if which in task.needs and reader not in self.found
            ]

    def ready(self) -> list[Task]:
        """Return the tasks that can start, in order of their numbers."""
        return [
            task
            for number, task in sorted(self.tasks.items())
            if number not in self.started
            and number not in self.found
            and task.needs <= self.found.keys()
        ]

    @property
    def running(self) -> frozenset[int]:
        """Tasks that were started and have found nothing yet."""
        return frozenset(self.started - self.found.keys())

    @property
    def next_number(self) -> int:
        """The number of the next task."""
        return max(self.tasks, default=0) + 1

    def arguments(self, task: Task) -> tuple[str, ...]:
        """Return a task's arguments with what others have found; in one pass, and never again."""
        return tuple(
            _REFERENCE.sub(lambda m: self.found[int(m[1] or m[2])].text, argument)
            for argument in task.arguments
        )

    def longest(self, costs: dict[int, float]) -> float:
        """Return the cost of the dearest chain of tasks, each of which needs the one before.

        Args:
            costs: Of the tasks that have run, by number.
        """
        until: dict[int, float] = {}
        for number in _order(self.tasks[number] for number in costs):
            before = (until[need] for need in self.tasks[number].needs if need in until)
            until[number] = costs[number] + max(before, default=0.0)
        return max(until.values(), default=0.0)

    def lines(self, *, shown: dict[int, str], status: bool = False) -> str:
        """Return the graph as text: each task and, below it, what it has found.

        Args:
            shown: What is shown of findings, by number; a task that is missing is left out.
            status: Show the other tasks too, as running or waiting.
        """
        lines = []
        for number, task in sorted(self.tasks.items()):
            if number in shown:
                lines += [f"{number}. {task.text}", f"Observation: {show(shown[number])}"]
            elif status and number not in self.found:
                state = "running" if number in self.started else "waiting"
                lines += [f"{number}. {task.text}", f"({state})"]
        return "\n".join(lines)

    def _fixed(self, number: int) -> str:
        is_over = number in self.started or number in self.found
        return f"task {number} has been started" if is_over else ""

    def _fault(self, task: Task) -> str:
        if task.tool not in self.tools:
            return f"there is no tool {task.tool!r}; there are {', '.join(sorted(self.tools))}"
        if task.number in task.needs:
            return f"task {task.number} refers to itself"
        if unknown := task.needs - self.tasks.keys():
            return f"task {task.number} refers to ${min(unknown)}, which does not stand before it"
        if failed := [need for need in task.needs if self._has_failed(need)]:
            return f"it needs task {min(failed)}, which failed"
        return ""

    def _has_failed(self, number: int) -> bool:
        return number in self.found and self.found[number].is_error


def _order(tasks: Iterable[Task]) -> list[int]:
    """Return the numbers of tasks, each after those of them that it needs.

    Raises:
        CycleError: They would wait for each other.
    """
    needs = {task.number: task.needs for task in tasks}
    graph = {number: needed & needs.keys() for number, needed in needs.items()}
    return list(TopologicalSorter(graph).static_order())


def _arguments(inside: str) -> tuple[str, ...]:
    """Return the arguments of a call; the whole text is one where it is no list of constants."""
    if not inside:
        return ()
    bare = _QUOTED_OR_REFERENCE.sub(
        lambda match: json.dumps(match[0]) if match[0].startswith("$") else match[0], inside
    )
    try:
        call = ast.parse(f"call({bare})", mode="eval").body
        assert isinstance(call, ast.Call)
        nodes = [*call.args, *(keyword.value for keyword in call.keywords)]
        return tuple(str(ast.literal_eval(node)) for node in nodes)
    except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError):
        return (inside,)
