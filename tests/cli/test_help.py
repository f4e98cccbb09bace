"""Help texts: whole sentences that fit a screen, and an example that works."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from tts.cli.main import app

# A text that begins like this goes on with what it does not name.
FRAGMENTS = ("Of ", "For ", "Per ", "May be", "Holds ", "Scores ", "Only ", "Same ", "Names, ")


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its words, subcommands included."""
    root: Any = typer.main.get_command(app)
    context = root.make_context("tts", [], resilient_parsing=True)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        yield f"tts {name}", command
        for sub, inner in getattr(command, "commands", {}).items():
            yield f"tts {name} {sub}", inner


COMMANDS = list(commands())


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[words for words, _ in COMMANDS])
def test_help_fits_a_screen_and_its_example_parses(words: str, command: Any) -> None:
    context = typer.Context(command, info_name=words, terminal_width=80)
    help_ = command.get_help(context)
    assert max(map(len, help_.splitlines())) <= 80
    example = re.search(r"^Example: (.+)$", command.help, re.MULTILINE)
    assert example, "it shows no example"
    typed = shlex.split(example[1])
    assert typed[: len(words.split())] == words.split()
    inner, rest = command, typed[len(words.split()) :]
    if hasattr(command, "commands"):
        inner, rest = command.commands[rest[0]], rest[1:]
    inner.make_context(inner.name, rest)


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[words for words, _ in COMMANDS])
def test_help_texts_are_whole_sentences(words: str, command: Any) -> None:
    for parameter in command.params:
        if parameter.name == "help":
            continue
        text = parameter.help or ""
        assert text[:1].isupper() and text.endswith("."), parameter.name
        assert not text.startswith(FRAGMENTS), parameter.name
