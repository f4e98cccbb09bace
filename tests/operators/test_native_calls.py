"""Graphs that a model plans by an engine's own calls of tools, and in words where it has none."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.operators.test_dag import END, JOIN, PLAN, findings, waiting, work
from tests.support import solving
from tests.support.results import noted
from tts.bench.servers.misbehaving import Asked, Reply, Server, choice, models, refusal, whole
from tts.engine.openai import OpenAIEngine
from tts.engine.scripted import ALL, Ask, Line, ScriptedEngine
from tts.operators._native_calls import plan_fields, read_calls, review_fields
from tts.runtime.job import Job
from tts.runtime.log import GenerationLog
from tts.runtime.runtime import Runtime
from tts.strategies import flash_searcher, llm_compiler
from tts.tools import calculator, solve
from tts.tools.base import Tool
from tts.types import Budget, Problem, Result, Sampling

CALL, CHANGE = "Call the tools that together", "Call keep_all where"
TOOLS: dict[str, Tool] = {
    "calculator": calculator.build(calculator.Config()),
    "wait": waiting(),
}
Given = Sequence[tuple[str, dict[str, Any]]]
SUMS: Given = [
    ("calculator", {"expression": "3 * 4"}),
    ("calculator", {"expression": "$1 + 7"}),
]


def written(*calls: tuple[str, dict[str, Any]]) -> str:
    made = [json.dumps({"name": name, "arguments": given}) for name, given in calls]
    return "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in made)


def test_tools_are_shown_as_functions_of_texts() -> None:
    fields = plan_fields(TOOLS)
    assert fields["tool_choice"] == "required"
    wait = fields["tools"][1]["function"]
    assert (wait["name"], wait["parameters"]["required"]) == ("wait", ["seconds", "words"])
    # A number may be a reference to what another task has found.
    assert wait["parameters"]["properties"]["seconds"] == {"type": "string"}
    names = [tool["function"]["name"] for tool in review_fields(TOOLS)["tools"]]
    assert names == ["calculator", "wait", "drop_task", "keep_all"]


def test_calls_are_tasks_in_their_order() -> None:
    text = written(
        ("wait", {"words": "$7 and ${8}", "seconds": 2}),
        ("search", {"query": "x"}),
        ("drop_task", {"task": 4.0}),
        ("drop_task", {"task": "the last"}),
        ("wait", {"seconds": "1", "words": "b", "in_place_of": "$5"}),
        ("keep_all", {}),
    )
    first, unknown, dropped, instead = read_calls(f"<think>7.</think>{text}", TOOLS, first=9)
    assert not isinstance(first, int) and not isinstance(unknown, int)
    assert (first.number, first.arguments, first.needs) == (
        9,
        ("2", "$7 and ${8}"),
        frozenset({7, 8}),
    )
    assert first.text == 'wait("2", "$7 and ${8}")'
    assert (unknown.number, unknown.tool, dropped) == (10, "search", 4)
    assert not isinstance(instead, int) and instead.number == 5


def native(script: Callable[[Ask], Line]) -> ScriptedEngine:
    return ScriptedEngine(script, capabilities=replace(ALL, tool_calls=True))


def test_a_plan_of_calls_is_worked_off_and_changed() -> None:
    """1 and 2 run at once; a look after 1 failed puts another task in the place of 3."""
    looks = iter(
        [
            written(("wait", {"seconds": "1", "words": "$2", "in_place_of": 3})),
            written(("keep_all", {})),
        ]
    )

    def line(ask: Ask) -> Line:
        if CALL in ask.prompt:
            plan = [("raise", "no luck"), ("2", "b"), ("1", "$2 and $2")]
            calls = [("wait", {"seconds": when, "words": said}) for when, said in plan]
            return Line(written(*calls))
        if CHANGE in ask.prompt:
            return Line(next(looks, written(("keep_all", {}))))
        return Line("Thought: so.\nAction: Finish(12)")

    result = work(native(line), waiting(), reviews=3)
    assert findings(result) == {1: "error: no luck", 2: "b", 3: "b"}
    assert result.answer is not None and result.answer.text == "12"
    (figures,) = result.facts.graphs
    # The changed task began once 2 had ended: 2 s and 1 s, one after the other.
    assert (figures.tasks, figures.changed, figures.seconds) == (3, 1, 3.0)


def test_a_plan_of_calls_is_in_the_log() -> None:
    def line(ask: Ask) -> Line:
        if CALL in ask.prompt:
            return Line(written(*SUMS))
        return Line(written(("keep_all", {})) if CHANGE in ask.prompt else "Action: Finish(19)")

    log, engines = GenerationLog(), [native(line), native(line)]
    pipeline = flash_searcher(tools=[{"name": "calculator"}])
    first, second = (solving.solve(engine, pipeline, log=log) for engine in engines)
    assert engines[0].requests and not engines[1].requests
    assert findings(second) == findings(first) == {1: "12", 2: "19"}


def test_an_engine_that_calls_nothing_is_asked_in_words() -> None:
    def line(ask: Ask) -> Line:
        if CALL in ask.prompt:
            return Line("I would multiply.")
        if PLAN in ask.prompt:
            return Line(f'1. calculator("3 * 4")\n2. {END}')
        return Line("Action: Finish(12)")

    engine = ScriptedEngine(
        line, capabilities=replace(ALL, tool_calls=True, token_ids=False, thoughts=False)
    )
    result = work(engine, {"name": "calculator"})
    assert findings(result) == {1: "12"}
    assert "no tool was called" in result.facts.warnings[0]


def test_a_budget_that_is_spent_says_nothing_of_the_engines_calls() -> None:
    engine = native(lambda ask: Line(written(*SUMS)))
    pipeline = llm_compiler(tools=[{"name": "calculator"}])
    result = solving.solve(engine, pipeline, budget=Budget(calls=1))
    assert result.facts.shortfall and not result.facts.warnings


# --- on a server


def calls_of(*given: tuple[str, dict[str, Any]]) -> Reply:
    made = [
        {"id": f"c{i}", "type": "function", "function": {"name": n, "arguments": json.dumps(a)}}
        for i, (n, a) in enumerate(given)
    ]
    return whole(choice(0, None, finish="tool_calls", tool_calls=made))


def asked_for(asked: Asked) -> str:
    return str(asked.body["messages"][-1]["content"])


def on_server(server: Server, pipeline: Any, problems: int = 1) -> list[Result]:
    async def main() -> list[Result]:
        async with (
            server.running(),
            OpenAIEngine("m", base_url=server.url, api_key="k") as engine,
            Runtime(engine) as runtime,
        ):
            found = []
            for number in range(problems):
                problem = Problem(str(number), "What is 3 * 4 + 7?", answer_type="integer")
                found.append(await runtime.run(Job(pipeline, problem, Sampling(max_tokens=99))))
            return found

    return asyncio.run(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize("owner", ["someone", "vllm"])
@pytest.mark.parametrize("make", [llm_compiler, flash_searcher])
def test_a_server_is_sent_the_tools_and_its_calls_are_run(make: Any, owner: str) -> None:
    def answer(asked: Asked) -> Reply:
        if CALL in asked_for(asked):
            return calls_of(*SUMS)
        if CHANGE in asked_for(asked):
            return calls_of(("keep_all", {}))
        return whole(choice(0, "Thought: so.\nAction: Finish(19)"))

    server = Server(answer, models("m", owner=owner, max_model_len=4096))
    (result,) = on_server(server, make(tools=[{"name": "calculator"}, {"name": "solve"}]))
    assert findings(result) == {1: "12", 2: "19"}
    assert result.answer is not None and result.answer.text == "19"
    planned, *others = server.bodies
    assert [tool["function"]["name"] for tool in planned["tools"]] == ["calculator", "solve"]
    assert planned["tool_choice"] == "required"
    # A turn of its own, in the protocol's form: in the tool's description a small model took the
    # example for its plan.
    asking, calling, *given, last = planned["messages"]
    assert "Calls are numbered" in asking["content"] and "12 boxes" in asking["content"]
    sums = [json.loads(call["function"]["arguments"]) for call in calling["tool_calls"]]
    assert [one["expression"] for one in sums[2:]] == ["($1 + $2) / 3", "$1 + $2 - $3"]
    assert [turn["content"] for turn in given] == ["96", "63", "53", "106"]
    assert [turn["tool_call_id"] for turn in given] == [c["id"] for c in calling["tool_calls"]]
    assert last["role"] == "user" and "12 boxes" not in last["content"]
    assert "$1" not in json.dumps(planned["tools"])
    joined = others[-1]
    assert "tools" not in joined and 'calculator("$1 + 7")\nObservation: 19' in str(
        joined["messages"][-1]["content"]
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'),
        (400, "registry/library/gemma does not support tools"),
        (404, "No endpoints found that support tool use"),
        (500, "tools param requires --jinja flag"),
    ],
)
def test_a_server_that_refuses_tools_is_asked_in_words_from_then_on(
    status: int, words: str
) -> None:
    """In the words of vLLM, Ollama, OpenRouter and llama.cpp."""

    def answer(asked: Asked) -> Reply:
        if "tools" in asked.body:
            return refusal(status, words)
        if JOIN in asked_for(asked):
            return whole(choice(0, "Thought: so.\nAction: Finish(12)"))
        return whole(choice(0, f'1. calculator("3 * 4")\n2. {END}'))

    server = Server(answer)
    first, second = on_server(server, llm_compiler(tools=[{"name": "calculator"}]), problems=2)
    for result in (first, second):
        assert findings(result) == {1: "12"} and result.answer is not None
    assert sum("tools" in body for body in server.bodies) == 1, "the endpoint has learnt it"
    assert words in first.facts.warnings[0] and not second.facts.warnings
    assert noted(first, "plan")[0]["refused"] == ""
    assert solve.build(solve.Config()).inputs == {"question": True}
