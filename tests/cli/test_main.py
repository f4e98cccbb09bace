"""The command itself: help, versions, errors, and what it does not import."""

import logging
import subprocess
import sys
from collections.abc import Callable

import pytest

import tts as package
from tests.support.commands import Outcome

Tts = Callable[..., Outcome]
COMMANDS = ("bench", "compare", "doctor", "eval", "plugins", "presets", "report", "solve")


def test_help_lists_every_command(tts: Tts) -> None:
    help_ = tts("--help")
    assert help_.code == 0
    assert all(f"  {name}" in help_.out for name in COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tts.cli.main import run; assert run(['--help']) == 0; "
        "print([m for m in ('numpy', 'torch', 'vllm', 'matplotlib', 'sympy', 'networkx', "
        "'pydantic') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(tts: Tts, command: str) -> None:
    help_ = tts(command, "--help")
    assert help_.code == 0
    assert f"Example: tts {command}" in help_.out
    assert max(map(len, help_.out.splitlines())) <= 100


def test_what_is_loaded_is_told_and_other_remarks_are_not(
    tts: Tts, capsys: pytest.CaptureFixture[str]
) -> None:
    tts("plugins")
    logging.getLogger("tts.starting").info("loading m: 2 threads")
    logging.getLogger("tts.engine").info("a remark")
    logging.getLogger("tts.engine").warning("a warning")
    assert capsys.readouterr().err == "loading m: 2 threads\nwarning: a warning\n"


def test_version(tts: Tts) -> None:
    assert tts("--version").out == f"tts {package.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evl",), "unknown command 'evl'; did you mean 'eval'?"),
        (("eval",), "Missing argument"),
        (("eval", "chain", "--limit", "0"), "limit: write how many"),
        (("eval", "chain", "--limit", "many"), "got 'many'"),
        (("eval", "chain", "--bugdet", "8k"), "--bugdet"),
        (("solve", "1 + 1", "--engine", "vllm"), "--engine"),
    ],
)
def test_bad_use_exits_with_2(tts: Tts, arguments: tuple[str, ...], message: str) -> None:
    outcome = tts(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
