"""What the README shows is true: its presets load, its commands parse, its Python runs."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from tts.cli.main import app
from tts.presets import load_preset

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.partition("#")[0].strip()
    for _, block in BLOCKS
    for line in block.splitlines()
    if line.startswith("tts ")
]


def of_language(language: str) -> list[str]:
    return [block for name, block in BLOCKS if name == language]


@pytest.mark.parametrize("text", of_language("yaml"))
def test_presets_load(text: str, tmp_path: Path) -> None:
    path = tmp_path / "preset.yaml"
    path.write_text(text)
    assert load_preset(str(path)).pipeline.sinks


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_parse(line: str) -> None:
    command: Any = typer.main.get_command(app)
    arguments = shlex.split(line)[1:]
    while hasattr(command, "get_command") and arguments:
        found = command.get_command(
            command.make_context("tts", [], resilient_parsing=True), arguments[0]
        )
        if found is None:
            break
        command = found
        del arguments[0]
    command.make_context(command.name, arguments)


@pytest.mark.parametrize("text", of_language("python"))
def test_python_compiles(text: str) -> None:
    compile(text, "README.md", "exec")


@pytest.mark.slow
def test_the_first_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    import tts

    try:
        exec(of_language("python")[0], {})
    finally:
        tts.shutdown()
    assert "generated_tokens" in capsys.readouterr().out


def test_links_lead_somewhere() -> None:
    root = Path(__file__).resolve().parent.parent
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (root / link).exists()] == []
