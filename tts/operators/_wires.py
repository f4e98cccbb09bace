r"""Text formats in which a parent spawns children and joins what they found; for `spawn`.

`SEARCH` is that of Pan et al. 2025, "Learning Adaptive Parallel Reasoning with Language Models",
arXiv:2504.15466, to the letter of its authors' code (`Parallel-Reasoning/APR`), and so of their
trained models, which solve countdown puzzles:

    <Calling Sub Searches>
    <Start Sub Search 0 at level 1> Moving to Node #0,0
    <End Calling Sub Searches>

is replaced by

    <Sub Searches>
    <No Solution in Sub Search 0 at level 1 at Node #0,0>
    <End Sub Searches>

`TASKS` asks the same of a model that was not trained for it, in words: sub-problems as a list.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from tts import graph_prompts, prompts
from tts.answers.exact import find_answer
from tts.errors import ProblemError
from tts.types import Problem, Prompt

_FOUND_CHARS = 400
_GOAL = "Goal Reached"
_MOVED = re.compile(
    r"Moving to Node #([\d,]+)\nCurrent State: (\d+:\[[\d, ]*\]), Operations: \[(.*)\]$",
    re.MULTILINE,
)
_GENERATED = re.compile(
    r"^Generated Node #([\d,]+): (\d+:\[[\d, ]*\]) Operation: (\S+)$", re.MULTILINE
)
_STARTED = re.compile(r"^<Start Sub Search \d+ at level 1> Moving to Node #([\d,]+)$", re.MULTILINE)
_EQUATION = re.compile(r"Exploring Operation: (\d+[-+*/]\d+=\d+)")
_ITEM = re.compile(r"^\s*\d+[.:)]\s*(\S.*?)\s*$", re.MULTILINE)


class WireError(ValueError):
    """A call that cannot be read; the message says why, for people."""


class Call(NamedTuple):
    """A child that is to be started.

    Attributes:
        name: Of its node, or its task.
        begin: How its text begins.
    """

    name: str
    begin: str = ""


class Wire(Protocol):
    """A format. Texts are what a model has written after the parent's, or the child's, prompt.

    Attributes:
        opens: Stands before calls.
        ends: Stands after them.
        joins: Stands before results, which a model does not write itself.
    """

    opens: str
    ends: str
    joins: str

    def parent(self, problem: Problem, text: str, calls: int | None) -> Prompt:
        """Return the prompt with which a parent goes on, told how often it may call."""
        ...

    def child(self, problem: Problem, call: Call) -> Prompt:
        """Return a child's prompt: nothing that its parent wrote, but what the call says."""
        ...

    def calls(self, problem: Problem, text: str) -> list[Call]:
        """Return the calls with which a text ends.

        Raises:
            WireError: They cannot be read.
        """
        ...

    def found(self, problem: Problem, call: Call, text: str) -> str | None:
        """Return what a child has found; None where it has not."""
        ...

    def join(self, text: str, calls: Sequence[Call], found: Sequence[str | None]) -> str:
        """Return a parent's text with results in place of its calls."""
        ...

    def finished(self, problem: Problem, text: str) -> str:
        """Return a parent's text as a solution, its answer in the problem's form."""
        ...


class SearchWire:
    """The published format; see the top of this module."""

    opens = "<Calling Sub Searches>"
    ends = "<End Calling Sub Searches>"
    joins = "<Sub Searches>"

    def parent(self, problem: Problem, text: str, calls: int | None) -> Prompt:
        """Return the puzzle's root, with the number of calls before it, and the text."""
        told = "" if calls is None else f"Sub Call Budget: {calls} "
        return Prompt(text=f"{told}{_root(problem)}{text}")

    def child(self, problem: Problem, call: Call) -> Prompt:
        """Return the state of the call's node."""
        return Prompt(text=call.begin)

    def calls(self, problem: Problem, text: str) -> list[Call]:
        """Return the nodes that are called, each with its state, from what the text generated."""
        nodes = _nodes(_root(problem) + text)
        block = text.rpartition(self.opens)[2] if self.opens in text else ""
        named = _STARTED.findall(block)
        if not named:
            raise WireError("a call of sub searches names no node")
        if unknown := [name for name in named if name not in nodes]:
            raise WireError(f"node #{unknown[0]} is called and was not generated")
        return [Call(name, _state(name, *nodes[name])) for name in named]

    def found(self, problem: Problem, call: Call, text: str) -> str | None:
        """Return the path that follows the goal, where it was reached."""
        return _path(call.begin + text)

    def join(self, text: str, calls: Sequence[Call], found: Sequence[str | None]) -> str:
        """Return the text with each child's path, or that it has none."""
        lines = []
        for index, (call, path) in enumerate(zip(calls, found, strict=True)):
            place = f"in Sub Search {index} at level 1 at Node #{call.name}>\n"
            lines.append(f"<No Solution {place}" if path is None else f"<{_GOAL} {place}{path}\n")
        before = text.rpartition(self.opens)[0]
        return f"{before}{self.joins}\n{''.join(lines)}<End Sub Searches>\n"

    def finished(self, problem: Problem, text: str) -> str:
        """Return the text with the equations of its last path in a box, where it has one."""
        path = _path(_root(problem) + text)
        equations = _EQUATION.findall(path or "")
        return f"{text}\n\n\\boxed{{{', '.join(equations)}}}" if equations else text


class TaskWire:
    """Sub-problems as a numbered list, for models that follow instructions."""

    opens = "<spawn>"
    ends = "</spawn>"
    joins = "<results>"

    def parent(self, problem: Problem, text: str, calls: int | None) -> Prompt:
        """Return what is asked, with the text so far as the beginning of the reply."""
        return replace(graph_prompts.solve_spawning(problem, calls), prefill=text)

    def child(self, problem: Problem, call: Call) -> Prompt:
        """Return the sub-problem, with the whole problem in view."""
        return prompts.solve(_part(problem, call))

    def calls(self, problem: Problem, text: str) -> list[Call]:
        """Return the sub-problems of the last list."""
        _, opens, block = text.rpartition(self.opens)
        if not opens:
            raise WireError(f"a list of sub-problems ends that no {self.opens} opened")
        items: list[str] = _ITEM.findall(block)
        if not items:
            raise WireError("a list of sub-problems has no numbered line")
        return [Call(item) for item in items]

    def found(self, problem: Problem, call: Call, text: str) -> str | None:
        """Return the child's answer, else its last paragraph."""
        said = prompts.without_thought(text).strip()
        answer = find_answer(said, _part(problem, call))
        return (answer or said.rpartition("\n\n")[2])[-_FOUND_CHARS:] or None

    def join(self, text: str, calls: Sequence[Call], found: Sequence[str | None]) -> str:
        """Return the text with a line for each result."""
        lines = [
            f"{number}. {' '.join((one or 'no result').split())}\n"
            for number, one in enumerate(found, start=1)
        ]
        before = text.rpartition(self.opens)[0]
        return f"{before}{self.joins}\n{''.join(lines)}</results>\n"

    def finished(self, problem: Problem, text: str) -> str:
        """Return the text as it is."""
        return text


WIRES: dict[str, Wire] = {"search": SearchWire(), "tasks": TaskWire()}


def _root(problem: Problem) -> str:
    """Return the first state of a puzzle."""
    try:
        numbers = [int(number) for number in problem.metadata["numbers"]]
        target = int(problem.metadata["target"])
    except (KeyError, TypeError, ValueError):
        raise ProblemError(
            f"{problem.id}: sub searches are for countdown puzzles, whose metadata has `numbers` "
            "and `target`; for other problems set wire=tasks"
        ) from None
    return _state("0", f"{target}:{numbers}", "")


def _state(name: str, state: str, operations: str) -> str:
    return f"Moving to Node #{name}\nCurrent State: {state}, Operations: [{operations}]"


def _nodes(text: str) -> dict[str, tuple[str, str]]:
    """Return state and operations of each node that a text has moved to or generated, by name."""
    nodes = {name: (state, operations) for name, state, operations in _MOVED.findall(text)}
    for name, state, operation in _GENERATED.findall(text):
        above = name.rpartition(",")[0]
        if name not in nodes and above in nodes:
            before = nodes[above][1]
            nodes[name] = (state, f"{before}{', ' if before else ''}'{operation}'")
    return nodes


def _path(text: str) -> str | None:
    """Return what follows the last goal but one: the way to it, told once more; None without."""
    goal = text.rfind(_GOAL, 0, max(0, text.rfind(_GOAL)))
    return text[goal + len(_GOAL) :].strip() if goal >= 0 else None


def _part(problem: Problem, call: Call) -> Problem:
    is_math = problem.answer_type in ("math", "integer")
    return Problem(
        f"{problem.id}/{call.name[:40]}",
        prompts.part(problem, call.name),
        answer_type="math" if is_math else "free",
        prompt=problem.prompt,
    )
