"""The notebooks run from top to bottom, as Jupyter runs them: within an event loop."""

import ast
import asyncio
import inspect
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


async def run_cells(path: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells(path), 1):
        where = f"{path.name}[{number}]"
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        done = eval(compile("".join(cell["source"]), where, "exec", flags=flags), names)
        if inspect.isawaitable(done):
            await done


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mpl.use("agg")
    asyncio.run(run_cells(path))
    assert "tokens" in capsys.readouterr().out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_the_bundled_model_answered(path: Path) -> None:
    kinds = [output["output_type"] for cell in cells(path) for output in cell["outputs"]]
    assert kinds and "error" not in kinds
    assert [cell["execution_count"] for cell in cells(path)] == [*range(1, len(cells(path)) + 1)]
