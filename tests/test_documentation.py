"""The questions of the site's first page: each leads to a section that is there and answers it."""

import html
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

config = pytest.importorskip("mkdocs.config", reason="mkdocs is not installed")
toc = pytest.importorskip("markdown.extensions.toc")

ROOT = Path(__file__).resolve().parent.parent
INDEX = (ROOT / "docs/index.md").read_text(encoding="utf-8")
SECTION = INDEX.partition("## Documentation: what people ask")[2]
LINE = re.compile(r"^- \[([^\]]+\?)\]\(([^)#]+)(?:#([^)]+))?\)(.*)$", re.MULTILINE)
QUESTIONS = LINE.findall(SECTION)


@cache
def generated() -> dict[str, str]:
    """Return the pages that are made while the site builds, by address."""
    loaded: Any = config.load_config(str(ROOT / "mkdocs.yml"))
    loaded.plugins._current_plugin = "hook"  # as while it builds
    files: Any = pytest.importorskip("mkdocs.structure.files").Files([])
    for name in ("tools/docs_reference.py", "tools/docs_notebooks.py"):
        files = loaded.hooks[name].on_files(files, config=loaded)
    return {file.src_uri: file.content_string for file in files if file.src_uri.endswith(".md")}


def section(page: str, anchor: str) -> str:
    """Return the text below a heading, up to the next of its level; the whole page for none."""
    path = ROOT / "docs" / page
    text = path.read_text(encoding="utf-8") if path.is_file() else generated()[page]
    if not anchor:
        return text
    level, found = 0, []
    for line in text.splitlines():
        marks, _, title = line.partition(" ")
        if marks and not marks.strip("#"):
            if level and len(marks) <= level:
                break
            level = level or len(marks) * (toc.slugify(title, "-") == anchor)
        found += [line] * bool(level)
    return "\n".join(found)


def test_there_are_questions_of_all_kinds() -> None:
    assert len(QUESTIONS) == SECTION.count("\n- ") > 25
    assert len({question for question, *_ in QUESTIONS}) == len(QUESTIONS)


@pytest.mark.parametrize(
    ("page", "anchor", "rest"),
    [question[1:] for question in QUESTIONS],
    ids=[question[0] for question in QUESTIONS],
)
def test_a_question_is_answered_where_it_leads(page: str, anchor: str, rest: str) -> None:
    words = re.findall(r"`([^`]+)`", rest.partition("; [")[0])
    answer = html.unescape(section(page, anchor))
    assert words and all(word in answer for word in words), answer[:300]
