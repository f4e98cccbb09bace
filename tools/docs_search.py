"""What the documentation's own search knows beyond the pages: questions, weights, and sentences.

A hook of mkdocs (`hooks:` in mkdocs.yml), for mkdocs-material's search. The questions of the first
page are given to the sections that they lead to, as the field `asked`, so that a section is found
by the words of those who look for it; pages that hold every word (generated ones, decisions) count
less.
"""

import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

_READER = Path(__file__).with_suffix(".js")
_QUESTION = re.compile(r"^- \[([^\]]+\?)\]\(.*$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#]+)\.md(#[^)]+)?\)")
_LESS = ("reference/", "notebooks/", "decisions.html")


def on_post_build(config: MkDocsConfig) -> None:
    """Complete the index that was written, and put the reader of sentences before the worker."""
    site, docs = Path(config.site_dir), Path(config.docs_dir)
    asked = _questions((docs / "index.md").read_text(encoding="utf-8"))
    path = site / "search/search_index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    if lost := asked.keys() - {section["location"] for section in index["docs"]}:
        raise PluginError(f"docs/index.md: no section that the search knows: {', '.join(lost)}")
    for section in index["docs"]:
        section["asked"] = " ".join(asked.get(section["location"], ()))
        section["boost"] = 0.3 if section["location"].startswith(_LESS) else 1
    path.write_text(json.dumps(index, separators=(",", ":")), encoding="utf-8")
    (worker,) = (site / "assets/javascripts/workers").glob("search.*.min.js")
    code = _READER.read_text(encoding="utf-8") + worker.read_text(encoding="utf-8")
    worker.write_text(code, encoding="utf-8")


def _questions(text: str) -> dict[str, list[str]]:
    """Return the questions that lead to each address."""
    found: dict[str, list[str]] = {}
    for line in _QUESTION.finditer(text):
        for page, anchor in _LINK.findall(line[0]):
            found.setdefault(f"{page}.html{anchor}", []).append(line[1])
    return found
