"""The four sibling folders are subpackages of `tts` through links."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["strategies", "verifiers", "evals", "kernels"])
def test_root_folder_is_the_subpackage(name: str) -> None:
    module = importlib.import_module(f"tts.{name}")
    assert Path(next(iter(module.__path__))).resolve() == ROOT / name


@pytest.mark.parametrize("name", ["evals", "kernels"])
def test_a_folder_whose_name_others_probe_for_is_no_package(name: str) -> None:
    """Started at the root, Python would take ours: transformers asks whether there is `kernels`.

    Nobody asks for `strategies` or `verifiers`, which are doors and so have an `__init__.py`.
    """
    assert not (ROOT / name / "__init__.py").exists()


def test_no_python_file_is_over_500_lines() -> None:
    folders = ["tts", "strategies", "verifiers", "evals", "kernels", "tests", "examples"]
    files = {path.resolve() for folder in folders for path in (ROOT / folder).rglob("*.py")}
    long = {str(path): n for path in files if (n := len(path.read_text().splitlines())) > 500}
    assert not long
