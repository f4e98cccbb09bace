"""Runs `interpreted/` in a process of its own, and reports it file by file; see `conftest.py`."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent / "interpreted"
FILES = sorted(path.stem for path in FOLDER.glob("test_*.py"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1_200),
    # `find_spec` and not an import: Triton stays out of the process that runs the other tests.
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton"),
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET") == "1", reason="collected directly in this process"
    ),
]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[ElementTree.Element]]:
    report = tmp_path_factory.mktemp("interpreted") / "report.xml"
    options = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(FOLDER)],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout[-4_000:] + run.stderr[-4_000:]
    cases: dict[str, list[ElementTree.Element]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        cases.setdefault(case.get("classname", "").rsplit(".", 1)[-1], []).append(case)
    return cases


@pytest.mark.parametrize("name", FILES)
def test_file(name: str, outcome: dict[str, list[ElementTree.Element]]) -> None:
    cases = outcome.get(name, [])
    assert cases, f"{name} ran no test"
    broken = {
        case.get("name"): problem.text
        for case in cases
        for kind in ("failure", "error", "skipped")
        for problem in case.iter(kind)
    }
    assert not broken, "\n\n".join(f"{test}:\n{text}" for test, text in broken.items())


def test_what_other_tests_share_a_process_with_does_not_import_triton() -> None:
    names = ("contracts", "dispatch", "occupancy", "reference", "tree_plan", "views", "workloads")
    imports = "".join(f"import tts.kernels.{name}\n" for name in names)
    program = f"import sys\n{imports}assert 'triton' not in sys.modules"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
