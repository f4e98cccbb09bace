"""`tts solve`: an answer on standard output, the rest on standard error."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine, lines
from tts.engine.spec import EngineSpec
from tts.verifiers._sandbox.sandbox import Sandbox

Tts = Callable[..., Outcome]


def test_answer_alone_goes_to_standard_output(tts: Tts) -> None:
    outcome = tts("solve", "What is 3 plus 4?", "--set", "n=9")
    assert (outcome.code, outcome.out) == (0, "7\n")  # 6 of 9 seeds are right
    assert outcome.err.startswith("6 of 9 votes")
    assert "self_consistency, seed 0, scripted" in outcome.err


def test_an_answer_cannot_command_the_terminal(tts: Tts, monkeypatch: pytest.MonkeyPatch) -> None:
    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(lines("it is \\boxed{\x1b]0;mine\x07 it}"))

    monkeypatch.setattr(running, "make_engine", make_engine)
    outcome = tts("solve", "Which?", "--preset", "single")
    assert outcome.code == 0 and "\x1b" not in outcome.out + outcome.err
    assert "\\x1b]0;mine\\x07" in outcome.out


def test_json_is_one_result(tts: Tts) -> None:
    outcome = tts("solve", "What is 3 plus 4?", "--preset", "single", "--seed", "1", "--json")
    result = outcome.json
    assert outcome.code == 0
    fields = "problem answer reason trajectories usage trace seed preset engine samples facts"
    assert set(result) == set(fields.split())
    assert result["answer"]["text"] in ("7", "8")
    assert (result["seed"], result["preset"]) == (1, "single")
    assert result["usage"]["calls"] == 1
    assert result["trajectories"][0]["origin"]["node"] == "sample"


def test_a_problem_is_read_from_a_pipe(tts: Tts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"What is 3 plus 4?\n")))
    outcome = tts("solve", "-", "--preset", "single", "--seed", "1", "--json")
    assert outcome.json["problem"]["statement"] == "What is 3 plus 4?"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"What \xff?")))
    outcome = tts("solve", "-")
    assert (outcome.code, outcome.err) == (2, "error: standard input: byte 6 is not UTF-8\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("  ",), 2, "the problem is empty"),
        (("What is 1 plus 1?", "--preset", "sngle"), 2, "did you mean 'single'?"),
        (("What is 1 plus 1?", "--budget", "3"), 2, "it buys no sample"),
        (("What is 1 plus 1?", "--budget", "3,3"), 2, "gives tokens twice"),
        (("What is 1 plus 1? " + "x" * 20_000,), 2, "the context is 10000"),
    ],
)
def test_no_answer_says_why(tts: Tts, arguments: tuple[str, ...], code: int, message: str) -> None:
    outcome = tts("solve", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1


def test_model_that_says_nothing_is_a_failure(tts: Tts, monkeypatch: pytest.MonkeyPatch) -> None:
    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(lines(" "))

    monkeypatch.setattr(running, "make_engine", make_engine)
    outcome = tts("solve", "What is 1 plus 1?")
    assert (outcome.code, outcome.err) == (
        1,
        "error: no answer: no trajectory gave an answer: all were empty\n",
    )


def test_code_is_run_without_a_sandbox_only_if_that_is_said(
    tts: Tts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    try_one = Sandbox._try
    monkeypatch.setattr(Sandbox, "_try", lambda s, m: try_one(s, m) if m == "unsafe" else None)
    preset = tmp_path / "code.yaml"
    preset.write_text(
        "pipeline:\n"
        "  draft: {operator: sample, n: 9}\n"
        "  run: {operator: score, from: draft, verifier: execution}\n"
        "  answer: {operator: vote, from: run}\n"
    )
    words = ["solve", "What is 3 plus 4?", "--preset", str(preset)]
    refused = tts(*words)
    assert refused.code == 1 and "--unsafe-execution" in refused.err
    assert tts(*words, "--unsafe-execution").out == "7\n"


def test_budget_is_a_hard_limit(tts: Tts) -> None:
    outcome = tts("solve", "What is 3 plus 4?", "--budget", "5calls", "--json")
    assert outcome.json["usage"]["calls"] == 5
    assert "the budget of 5calls is spent" in outcome.json["reason"]


def test_a_terminal_shows_how_far_it_is_and_a_pipe_does_not(
    tts: Tts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(ask: Ask) -> Line:
        return Line("x" * (30 * (ask.index > 0)) + r"\boxed{7}")

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(answer, tick_seconds=0.02)

    monkeypatch.setattr(running, "make_engine", make_engine)
    command = ("solve", "What is 3 plus 4?", "--set", "n=3")
    assert tts(*command).err.count("\n") == 1  # the cost of the answer
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    outcome = tts(*command)
    assert "self_consistency: 1 sample, 7 leads with 1 of 1, " in outcome.err
    assert " tok/s" in outcome.err and outcome.out == "7\n"
