"""Plans and their changes as an engine's own calls of tools, in the form of OpenAI's protocol.

One reply holds a whole plan: its calls are tasks, numbered in their order, and `$k` in an argument
stands for what task k has found, as in the text form. Where it changes a graph, a call adds a task,
or takes the place of one that waits, or drops one; `keep` changes nothing.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tts.answers.exact import tool_calls
from tts.graph_prompts import EXAMPLE, EXAMPLE_VALUES, example_calls, replanned
from tts.operators._task_graph import JOIN, Task, needs_of
from tts.prompts import plan, without_thought
from tts.tools.base import Tool
from tts.types import Message, Problem, Prompt, PromptExample

_CALL = """\
Call the tools that together solve the problem, all of them in one reply, with the utmost \
parallelism. Do not solve it yourself.
Rules:
- Calls are numbered in their order, from 1 on.
- $k in an argument stands for what call k has found; only calls before may be used.
- Tools see nothing but their arguments: say there all that they have to know.
- Calls that can run at once must not refer to each other.
- Write amounts of money in words, not with $."""
_CALL_AGAIN = (
    "Call the tools that together solve this problem, by the same rules, all in one reply."
)
_INSTEAD = "in_place_of"
_DROP, _KEEP = "drop_task", "keep_all"
RESERVED = frozenset({JOIN, _DROP, _KEEP})  # names that no tool may have
_TASK_NUMBER = {"type": "integer", "description": "number of a task that is waiting"}


def plan_prompt(
    problem: Problem, tools: Mapping[str, Tool], *, first: int, done: str, thought: str
) -> Prompt:
    """Ask for a plan as calls of the tools that the engine itself shows to the model.

    The example's calls, and what they give, are turns of the protocol, as the model knows them.

    Args:
        problem: What is to be solved.
        tools: By the name that plans call them.
        first: Number of the first call.
        done: The plan before it with what it has found; empty for none.
        thought: Why that was not enough.
    """
    notes = replanned(first=first, done=done, thought=thought)
    if problem.is_raw:
        return plan(problem, _CALL, notes)
    prompt = plan(problem, _CALL, notes, PromptExample(EXAMPLE, ""), again=_CALL_AGAIN)
    *before, _, last = prompt.messages
    return replace(prompt, messages=(*before, *_called(tools), last))


def _called(tools: Mapping[str, Tool]) -> Iterator[Message]:
    """Yield the turns of an example's calls."""
    called, arguments = example_calls(tools)
    named = next(iter(tools[called].inputs), "argument")
    ids = [f"call_{number}" for number in range(1, len(arguments) + 1)]
    calls = [
        {"id": name, "type": "function", "function": {"name": called, "arguments": {named: given}}}
        for name, given in zip(ids, arguments, strict=True)
    ]
    yield Message("assistant", "", json.dumps({"tool_calls": calls}))
    for name, value in zip(ids, EXAMPLE_VALUES, strict=True):
        yield Message("tool", value, json.dumps({"tool_call_id": name}))


def plan_fields(tools: Mapping[str, Tool]) -> dict[str, Any]:
    """Return the fields of a request that show the tools, and have at least one called."""
    return _fields([_function(name, tool.about, tool.inputs) for name, tool in tools.items()])


def review_fields(tools: Mapping[str, Tool]) -> dict[str, Any]:
    """Return those with which a graph that is being worked off may be changed."""
    shown = [
        _function(name, tool.about, tool.inputs, {_INSTEAD: _TASK_NUMBER})
        for name, tool in tools.items()
    ]
    drop = _function(_DROP, "takes out a task that is waiting and that no other needs", {}, {})
    drop["function"]["parameters"] |= {"properties": {"task": _TASK_NUMBER}, "required": ["task"]}
    return _fields([*shown, drop, _function(_KEEP, "changes nothing", {})])


def read_calls(text: str, tools: Mapping[str, Tool], *, first: int) -> list[Task | int]:
    """Return what a reply calls for: tasks, and the numbers of those to drop.

    Args:
        text: The reply.
        tools: By name; a call of another one is a task that cannot run.
        first: Number of the first new task.
    """
    return list(_read(text, tools, first))


def has_calls(text: str) -> bool:
    """Return whether a reply calls any tool."""
    return bool(tool_calls(without_thought(text))[1])


def _read(text: str, tools: Mapping[str, Tool], number: int) -> Iterator[Task | int]:
    for name, written in tool_calls(without_thought(text))[1]:
        given = json.loads(written)
        if name == _KEEP:
            continue
        if name == _DROP:
            if (place := _number(given.get("task"))) is not None:
                yield place
            continue
        instead = _number(given.pop(_INSTEAD, None))
        order = list(tools[name].inputs) if name in tools else []
        named = sorted(given, key=lambda key: order.index(key) if key in order else len(order))
        arguments = [_text(given[key]) for key in named]
        yield _task(number if instead is None else instead, name, arguments)
        number += instead is None


def _task(number: int, name: str, arguments: list[str]) -> Task:
    shown = ", ".join(json.dumps(argument, ensure_ascii=False) for argument in arguments)
    return Task(number, name, tuple(arguments), f"{name}({shown})", needs_of(arguments))


def _number(value: Any) -> int | None:
    """Return the number of a task, which models also write as 3.0, "3" or "$3"; None for none."""
    text = str(value).strip().removeprefix("$").removesuffix(".0")
    return int(text) if text.isdecimal() and len(text) < 7 else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fields(functions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"tools": functions, "tool_choice": "required"}


def _function(
    name: str,
    about: str,
    inputs: Mapping[str, bool],
    further: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe a function whose inputs are texts, since a reference may stand for any of them.

    Args:
        name: Of the function.
        about: What it does.
        inputs: Names, and whether each is needed.
        further: Descriptions of inputs that are not needed.
    """
    texts = {each: {"type": "string"} for each in inputs}
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": about,
            "parameters": {
                "type": "object",
                "properties": {**texts, **(further or {})},
                "required": [each for each, is_needed in inputs.items() if is_needed],
            },
        },
    }
