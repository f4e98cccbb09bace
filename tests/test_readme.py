"""What the README shows is true: its presets load, its commands parse, its Python runs."""

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from tts.cli.main import app
from tts.presets.load import load_preset
from tts.sweeps import variants

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    page: page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *ROOT.glob("docs/*.md"))
}
SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
README = PAGES[ROOT / "README.md"]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = _BLOCK.findall(README)
COMMANDS = [
    re.split(r"\s#", line)[0].strip()
    for text in PAGES.values()
    for _, block in _BLOCK.findall(text)
    for line in block.replace("\\\n", " ").splitlines()
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


@pytest.mark.parametrize("line", COMMANDS)
def test_presets_take_what_the_commands_set(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("facts.txt").write_text("Snow is white.\n")
    given: dict[str, list[str]] = {"--preset": [], "--set": []}
    for flag, value in pairwise(shlex.split(line)):
        if flag in given:
            given[flag].append(value)
    # Files that another command writes, and what takes such a file.
    written = ("policy.yaml", "router.json", "scores.json", "memory.jsonl", "share=")
    settings = [one for one in given["--set"] if not any(file in one for file in written)]
    assert all(preset.pipeline.sinks for preset in variants(given["--preset"], settings))


@pytest.mark.parametrize("text", of_language("python"))
def test_python_compiles(text: str) -> None:
    compile(text, "README.md", "exec")


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.parametrize("text", [text for text in of_language("python") if "@http" not in text])
def test_examples_on_the_bundled_models_run(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tts

    monkeypatch.chdir(tmp_path)
    try:
        exec(compile(text, "README.md", "exec"), {"__name__": "__main__"})
    finally:
        tts.shutdown()
    assert capsys.readouterr().out.strip()


@pytest.mark.slow
@pytest.mark.engine
def test_the_example_with_a_server_is_the_same_call_with_another_model() -> None:
    (text,) = [text for text in of_language("python") if "@http" in text]
    call = text.replace("Qwen/Qwen3-8B@http://localhost:8000/v1", "bundled:reasoner")
    names: dict[str, Any] = {}
    exec(compile(call, "README.md", "exec"), names)
    names["tts"].shutdown()
    assert [result.problem.statement for result in names["results"]] == [
        "What is 7 * 8?",
        "What is 9 * 6?",
    ]


def test_links_lead_somewhere() -> None:
    links = [
        page.parent / link
        for page, text in PAGES.items()
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", text)
    ]
    assert links
    # The site's reference is made of the catalogue while it is built, which checks links to it.
    made = {ROOT / "docs" / page for page in re.findall(r"(?:reference|notebooks)/[\w.]+", SITE)}
    assert [link for link in links if not link.exists() and link not in made] == []
