"""The snippets of docs/serve.md, run by the clients that are installed here."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.serving import Serving, serving
from tts.engine.scripted import Ask, Line, ScriptedEngine

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TEXT = r"3 * 4 is \boxed{12}"
ADDRESS = "http://127.0.0.1:8000"


def block(language: str, words: str) -> str:
    """Return the only block of a language that holds some words."""
    found: str
    (found,) = [text for kind, text in BLOCKS if kind == language and words in text]
    return found


def script(ask: Ask) -> Line:
    """Say 12, 13, 12, 12, each a good while after the one before."""
    text = r"it is \boxed{13}" if ask.index == 1 else TEXT
    return Line(text, ticks=100 + 200 * ask.index)


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving(ScriptedEngine(script, tick_seconds=0.002)) as running:
        yield running


def run(command: list[str], **env: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("library", ["openai", "langchain_openai"])
def test_python(server: Serving, library: str, capsys: pytest.CaptureFixture[str]) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    text = block("python", f"from {library} ").replace(ADDRESS, server.root)
    exec(compile(text, "docs/serve.md", "exec"), {})
    assert TEXT in capsys.readouterr().out


@pytest.mark.slow
def test_node(server: Serving) -> None:
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", "require('openai')"]).returncode:
        pytest.skip("node has no package openai here: npm install openai, and set NODE_PATH")
    text = block("javascript", "require").replace(ADDRESS, server.root)
    assert run([node, "-e", text]) == TEXT


@pytest.mark.slow
def test_curl(server: Serving) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    text = block("bash", "curl").replace(ADDRESS, server.root)
    assert r"3 * 4 is \\boxed{12}" in run(["bash", "-c", text])


@pytest.mark.slow
def test_llm(server: Serving, tmp_path: Path) -> None:
    if find_spec("llm") is None:
        pytest.skip("llm is not installed")
    settings = block("yaml", "model_id").replace(ADDRESS, server.root)
    (tmp_path / "extra-openai-models.yaml").write_text(settings)
    text = block("bash", "llm -m").replace("llm -m", f"{sys.executable} -m llm -m")
    assert TEXT in run(["bash", "-c", text], LLM_USER_PATH=str(tmp_path))


@pytest.mark.slow
def test_the_transcript() -> None:
    asked, _, answered = block("transcript", "curl -N").removeprefix("$ ").partition("}}'\n")
    command = f"{asked}}}}}'".replace("curl -N", "curl -sN")
    with serving(ScriptedEngine(script, tick_seconds=0.002)) as server:
        text = run(["bash", "-c", command.replace(ADDRESS, server.root)])
    shown = re.sub(r'"created":\d+', '"created":0', re.sub(r"chatcmpl-\w+", "chatcmpl-...", text))
    assert [line for line in shown.split("\n") if line] == answered.strip().split("\n")
