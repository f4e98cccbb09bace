"""The check for GPUs runs small on a CPU, so that it works when a card is at hand."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("triton") is None, reason="needs triton"),
]


@pytest.mark.engine
def test_all_of_it_runs_under_the_interpreter(tmp_path: Path) -> None:
    done = subprocess.run(
        ["tools/gpu_check.sh", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["machine"]["is_interpreted"] and results["tests"]["tests"] >= 4
    (cell,), (tree,) = results["kernels"]["sparse"], results["kernels"]["tree"]
    assert set(cell["others"]) == {"SDPA", "flex"} and tree["speedup"] > 0
    forms = {form["form"]: form for form in results["engine"].get("forms", ())}
    if find_spec("vllm") is not None:
        assert forms["eager"]["equal"] == forms["sparse"]["equal"] == "8 of 8"
        assert "needs an NVIDIA GPU" in forms["shared_prefix"]["error"]
    assert "tests: ok" in done.stdout and "kernels: ok" in done.stdout


def test_what_it_imports_needs_no_vllm_and_no_pydantic() -> None:
    code = (
        "import sys; sys.modules['pydantic'] = sys.modules['vllm'] = None\n"
        "import tts.bench.kernels, tts.bench.kernels_run, tts.console.output"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
