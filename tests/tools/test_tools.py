"""Tools, each called alone: what they return, refuse, and how a plug-in brings one."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.sandboxes import open_sandbox
from tts.errors import InputError, ParameterError
from tts.operators.dag import Dag
from tts.parts import plugins
from tts.parts.build import build_part
from tts.protocols import Context
from tts.tools.base import Tool
from tts.tools.calculator import evaluate
from tts.verifiers._sandbox.sandbox import Limits

NO_CONTEXT = cast("Context", None)  # these ask nothing of the run


def call(name: str, arguments: Sequence[str], options: Mapping[str, Any] | None = None) -> str:
    tool: Tool = build_part("tool", name, options or {})
    return asyncio.run(tool.call(NO_CONTEXT, arguments, task="1")).text


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("3 * 4", "12"),
        ("0.1 + 0.2", "0.3"),
        ("10 / 4", "2.5"),
        ("1 / 3 + 1 / 6", "0.5"),
        ("1 / 3", "1/3"),
        ("2^10 - 7 // 2", "1021"),
        ("(-3) % 5", "2"),
        ("sqrt(16) + abs(-2)", "6"),
        ("factorial(5) / gcd(12, 18)", "20"),
        ("3 \N{MULTIPLICATION SIGN} 4 \N{MINUS SIGN} 1", "11"),
        ("2 ** 0.5", "1.4142135623730951"),
        ("round(7 / 2)", "4"),
    ],
)
def test_arithmetic_is_exact(expression: str, value: str) -> None:
    assert evaluate(expression) == value == call("calculator", [expression])


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("9 ** 9 ** 9", "too large"),
        ("10 ** 5000 * 10 ** 5000", "too large"),
        ("factorial(10 ** 9)", "from 0 to 1,000"),
        ("(-1) ** 0.5", "a root of a negative number"),
        ("1 / 0", "divides by zero"),
        ("5 % 0", "divides by zero"),
        ("__import__('os').getcwd()", "is no arithmetic"),
        ("[1] * 9", "is no arithmetic"),
        ("True + 1", "is no arithmetic"),
        ("x + 1", "'x' is no arithmetic"),
        ("12 apples", "'12 apples' is no arithmetic"),
        ("(" * 400, "is no arithmetic"),
        ("1 + " * 400 + "1", "more than 1,000 characters"),
        ("gcd(1.5, 2)", "1.5 is no whole number"),
    ],
)
def test_what_is_no_arithmetic_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        evaluate(expression)


def test_a_program_runs_where_it_can_do_no_harm() -> None:
    open_sandbox(Limits())  # skips where there is none
    program = "import os\nprint(sum(range(5)), os.environ.get('HOME'))"
    assert call("python", [program]) == "10 None"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("1 / 0", "the program failed: .*\n(.|\n)*ZeroDivisionError"),
        ("x = 1", "printed nothing"),
        ("while True: pass", "the program failed: "),
        ("print('x' * 10 ** 8)", "the program failed: "),
        ("open('/etc/passwd', 'w')", "the program failed: "),
    ],
)
def test_a_program_that_fails_says_why(program: str, message: str) -> None:
    open_sandbox(Limits())
    with pytest.raises(ValueError, match=message):
        call("python", [program], {"run_seconds": 1.0})


def test_facts_are_looked_up(tmp_path: Path) -> None:
    file = tmp_path / "facts.txt"
    file.write_text("Mount Elbrus is 5642 metres high.\nThe code of the red door is 7.\n")
    options = {"file": str(file), "passages": 1}
    assert call("facts", ["code of the red door"], options) == "The code of the red door is 7."
    with pytest.raises(ValueError, match="nothing is known"):
        call("facts", ["qqq"], options)
    with pytest.raises(InputError, match="cannot be read"):
        build_part("tool", "facts", {"file": str(tmp_path / "none.txt")})


def test_a_tool_is_told_to_a_planner_by_the_name_that_it_is_given() -> None:
    named = build_part("tool", "solve", {"called": "think", "strategy": "self_consistency"})
    assert named.line.startswith("think(question: str) -> str: reasons about")
    assert named == build_part("tool", "solve", {"called": "think", "strategy": "self_consistency"})
    assert named != build_part("tool", "solve", {"called": "think"})
    with pytest.raises(ParameterError, match="called = 'a b'"):
        build_part("tool", "solve", {"called": "a b"})


def test_a_plug_in_brings_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_weather.py").write_text(
        "from tts.tools.base import Found, Tool, ToolConfig\n"
        "class Config(ToolConfig):\n    pass\n"
        "class Weather(Tool):\n"
        "    signature = 'weather(day: str) -> str'\n    about = 'the weather of a day'\n"
        "    async def call(self, context, arguments, *, task):\n"
        "        return Found('rain on ' + arguments[0])\n"
        "def build(config):\n    return Weather(config)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="unknown tool 'my_weather'"):
        build_part("tool", "my_weather", {})
    plugins.load_plugin("my_weather")
    assert call("my_weather", ["Monday"]) == "rain on Monday"
    mapping = Dag(tools=("my_weather", "calculator")).model_dump()  # type: ignore[arg-type]
    assert mapping["tools"] == [{"name": "my_weather"}, {"name": "calculator"}]
