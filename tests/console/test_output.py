"""Text for people: nothing that a model wrote reaches the terminal as a command."""

import ast
from pathlib import Path

import pytest

from tts.console import output

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünï ∑ 漢 👩‍🔬\ttab\nline", "plain, ünï ∑ 漢 👩‍🔬\ttab\nline"),
        ("\x1b]52;c;cm0gLXJmIH4=\x07", "\\x1b]52;c;cm0gLXJmIH4=\\x07"),  # the clipboard
        ("\x1b]0;title\x1b\\", "\\x1b]0;title\\x1b\\"),
        ("\x1b[2J\x1b[1;1Hgone", "\\x1b[2J\\x1b[1;1Hgone"),
        ("\x9b31mred", "\\x9b31mred"),  # the same in one character of Latin-1
        ("wrong\rright", "wrong\\x0dright"),
        ("a\r\nb", "a\nb"),
        ("ab\x08\x7f\x00", "ab\\x08\\x7f\\x00"),
        ("x\u202ey\u2066z\u200f", "x\\u202ey\\u2066z\\u200f"),
        ("half \ud83d", "half \\ud83d"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert output.clean(text) == shown


def test_every_way_to_print_cleans(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_text("\x1b1")
    output.print_lines(["\x1b2"])
    table = output.new_table("column")
    output.add_row(table, "\x1b3[bold]")
    output.print_table(table)
    output.print_json({"text": "\x1b4"})
    output.print_note("\x1b5")
    output.print_error("\x1b6")
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert out.count("\\x1b") == 3 and "\\u001b4" in out and "\\x1b3[bold]" in out
    assert err == "\\x1b5\nerror: \\x1b6\n"


def test_a_narrow_terminal_tears_no_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "30"}.items():
        monkeypatch.setenv(name, value)
    table = output.new_table("preset", "tokens", "seconds", right=("tokens", "seconds"))
    output.add_row(table, "self_consistency", "1,234,567", "12.5")
    output.add_row(table, " ".join(["word"] * 30), "1", "2")
    output.print_table(table)
    _, first, *_ = capsys.readouterr().out.splitlines()
    assert first == "self_consistency  1,234,567     12.5"  # 16, 9 and 7 columns, gaps of two


def test_nothing_else_prints() -> None:
    files = [f for room in ("cli", "bench", "console") for f in (ROOT / "tts" / room).glob("*.py")]
    prints = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in files
        if file.name != "output.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("typer.echo", "typer.secho", "print", "click.echo")
    ]
    assert len(files) > 20 and prints == []


def test_a_command_to_run_again_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_again("tts", "bench", "steps", Path("my pools/a.jsonl"), "--seed", 3)
    assert capsys.readouterr().out == "again tts bench steps 'my pools/a.jsonl' --seed 3\n"
