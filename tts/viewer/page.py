"""The viewer as one file that needs no server: the same pages, with their answers inside.

Modules of the pages import each other by relative paths, which a page of one file does not have;
an import map gives each its text instead. The answers are compressed, each by its address.
"""

import base64
import gzip
import html
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tts.storage.sealed_lines import cannot_write
from tts.types.figures import Unit
from tts.viewer.answers import ANSWERS
from tts.viewer.runs import Library
from tts.viewer.server import STATIC

_MOST_BYTES = 40_000_000  # of compressed problems in one page
_IMPORT = re.compile(r'from "\./([\w.]+)"')
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; "
    "font-src data:; img-src data:; base-uri 'none'; form-action 'none'"
)


def save_page(folders: Sequence[Path], path: Path, unit: Unit = "tokens") -> int:
    """Write runs as one page; returns how many problems had no room in it.

    Args:
        folders: Run folders.
        path: The file.
        unit: In which costs stand at first.

    Raises:
        StoreError: A run cannot be read, or the page cannot be written.
    """
    page, left_out = build_page(Library(folders), unit)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error
    return left_out


def build_page(library: Library, unit: Unit = "tokens") -> tuple[str, int]:
    """Return the page, and how many problems had no room in it."""
    answers, room, left_out = {}, _MOST_BYTES, 0
    for what, query in _addresses(library):
        is_of_one = what in ("problem", "prompts")
        if room < 0 and is_of_one:
            left_out += what == "problem"
            continue
        answer = ANSWERS[what](library, query)
        packed = _packed({**answer, "unit": unit} if what == "runs" else answer)
        room -= len(packed)
        if room < 0 and is_of_one:
            left_out += what == "problem"
            continue
        answers["\n".join([what, *(f"{key}={value}" for key, value in query.items())])] = packed
    return _whole(answers), left_out


def _addresses(library: Library) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what the pages may ask for: what is known of one problem comes last."""
    yield "runs", {}
    runs = [run for run in library.runs().values() if not run.row()["fault"]]
    for run in runs:
        yield "run", {"run": run.name}
        yield "parameters", {"run": run.name}
    for run in runs:
        for row in run.problems():
            place = {"run": run.name, "problem": row["id"], "repeat": str(row["repeat"])}
            yield "problem", place
            yield "prompts", place


def _packed(answer: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(answer).encode(), mtime=0)).decode()


def _whole(answers: dict[str, str]) -> str:
    modules = {
        found.name: f"data:text/javascript;base64,{_base64(_bare(found.read_text('utf-8')))}"
        for found in STATIC.iterdir()
        if found.name.endswith(".js")
    }
    imports = json.dumps({"imports": modules})
    katex = STATIC / "katex"
    style = (katex / "katex.min.css").read_text("utf-8")
    style = re.sub(r"url\(fonts/([\w-]+\.woff2)\)", lambda m: _font(m[1]), style)
    style += (STATIC / "style.css").read_text("utf-8")
    data = json.dumps(answers).replace("<", "\\u003c")
    script = (katex / "katex.min.js").read_text("utf-8").replace("</script", "<\\/script")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(_POLICY)}">'
        f"<title>tts</title><style>{style}</style>"
        f'<script type="application/json" id="answers">{data}</script>'
        f'<script type="importmap">{imports}</script><script>{script}</script>'
        '<body><div id="app"></div><script type="module">import "app.js";</script></html>\n'
    )


def _bare(source: str) -> str:
    return _IMPORT.sub(r'from "\1"', source)


def _font(name: str) -> str:
    data = base64.b64encode((STATIC / "katex" / "fonts" / name).read_bytes()).decode()
    return f"url(data:font/woff2;base64,{data})"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
