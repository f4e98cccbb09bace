"""The notebooks of `examples/` as pages of the documentation site, with what their cells showed.

A hook of mkdocs (`hooks:` in mkdocs.yml).
"""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_FOLDER = Path(__file__).resolve().parent.parent / "examples" / "notebooks"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, and the pictures in it."""
    for path in sorted(_FOLDER.glob("*.ipynb")):
        lines: list[str] = []
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            lines += _cell(cell, f"{path.stem}-{number}.png")
            if (picture := _picture(cell)) is not None:
                where = f"notebooks/{path.stem}-{number}.png"
                files.append(File.generated(config, where, content=picture))
        lines.append(f"This page is the notebook `examples/notebooks/{path.name}`.")
        text = "\n".join(lines) + "\n"
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
    return files


def _cell(cell: Mapping[str, Any], picture: str) -> Iterator[str]:
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield from (text, "")
        return
    yield from ("```python", text, "```", "")
    for output in cell["outputs"]:
        data = output.get("data", {"text/plain": output.get("text", "")})
        if "image/png" in data:
            yield from (f"![What the cell draws]({picture})", "")
        elif "text/html" in data:
            yield from ("".join(data["text/html"]), "")
        else:
            yield from ("```text", "".join(data["text/plain"]).rstrip("\n"), "```", "")


def _picture(cell: Mapping[str, Any]) -> bytes | None:
    """Return the picture that a cell drew; None for none."""
    for output in cell.get("outputs", ()):
        if "image/png" in output.get("data", {}):
            return base64.b64decode("".join(output["data"]["image/png"]))
    return None
