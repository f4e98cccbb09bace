"""What `tools/gpu_check.sh` runs: kernel tests, kernel times, and the embedded engine.

Each part has a process of its own and its own time, so that one that hangs or crashes takes no
other along; what is known is written after each part.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tts.bench.kernels import print_tables
from tts.console import output

IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
TESTS = Path("tests/kernels")
SMALL = TESTS / "interpreted" / "test_merge.py"
# As the CPU writes them: `python tools/gpu_engine.py TEXTS` makes the file.
TEXTS = Path(__file__).with_name("gpu_check_texts.json")
SECONDS = {"tests": 150, "kernels": 150, "engine": 170}
BENCH = "import json; from tts.bench.kernels import measure; print(json.dumps(measure(quick=True)))"


def run_tests(out: Path) -> dict[str, Any]:
    """Run the kernels' tests against the references, without what other tests need."""
    report = out / "tests.xml"
    chosen = [str(SMALL)] if IS_INTERPRETED else ["-m", "gpu", str(TESTS)]
    options = ["-q", "-p", "no:cacheprovider", f"--confcutdir={TESTS}", f"--junitxml={report}"]
    if find_spec("xdist") is not None and not IS_INTERPRETED:
        options += ["-n", "8"]  # compiling takes longer than running
    shown = _run("tests", "-m", "pytest", *options, *chosen)
    if not report.is_file():
        return {"is_ok": False, "error": shown[-2_000:]}
    cases = list(ElementTree.parse(report).iter("testcase"))
    broken = {
        f"{case.get('classname')}.{case.get('name')}": (found.get("message") or "")[:300]
        for case in cases
        for kind in ("failure", "error")
        for found in case.iter(kind)
    }
    return {"is_ok": bool(cases) and not broken, "tests": len(cases), "broken": broken}


def run_kernels() -> dict[str, Any]:
    """Measure the kernels."""
    return {"is_ok": True, **json.loads(_run("kernels", "-c", BENCH).splitlines()[-1])}


def run_engine() -> dict[str, Any]:
    """Run the embedded engine in its forms, against the texts of the CPU."""
    if find_spec("vllm") is None:
        return {"is_ok": True, "skipped": "vLLM is not installed"}
    found: dict[str, Any] = json.loads(
        _run("engine", "tools/gpu_engine.py", str(TEXTS)).splitlines()[-1]
    )
    return found


def main(out: Path) -> int:
    """Run all parts; returns the exit code."""
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"schema": 1, "machine": _machine()}
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "tests": partial(run_tests, out),
        "kernels": run_kernels,
        "engine": run_engine,
    }
    for name, part in parts.items():
        start = time.monotonic()
        try:
            results[name] = part()
        except (subprocess.SubprocessError, ValueError, IndexError) as error:
            results[name] = {"is_ok": False, "error": str(error)[-2_000:]}
        results[name]["seconds"] = round(time.monotonic() - start, 1)
        (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    _show(results, out)
    return 0 if all(results[name]["is_ok"] for name in parts) else 1


def _show(results: dict[str, Any], out: Path) -> None:
    kernels, engine = results["kernels"], results["engine"]
    if "sparse" in kernels:
        print_tables(kernels)
        output.print_text()
    if "forms" in engine:
        table = output.new_table("engine", "equal texts", "tok/s", right=("equal texts", "tok/s"))
        for row in engine["forms"]:
            output.add_row(
                table, row["form"], row.get("error") or row["equal"], f"{row.get('pace', 0):,.0f}"
            )
        output.print_table(table)
        output.print_text()
    for name in SECONDS:
        part = results[name]
        told = part.get("error") or part.get("skipped") or ""
        if name == "tests" and not told:
            told = f"{part['tests'] - len(part['broken'])} of {part['tests']} pass"
        words = "ok" if part["is_ok"] else "FAILED"
        output.print_text(f"{name}: {words}, {part['seconds']} s {told}".rstrip())
        for test, message in part.get("broken", {}).items():
            output.print_text(f"  {test}: {message}")
    output.print_text(f"results in {out / 'results.json'}")


def _machine() -> dict[str, Any]:
    """Return what the figures were taken on."""
    code = (
        "import json, sys, torch, triton; g = torch.cuda; print(json.dumps({'python': sys.version, "
        "'torch': torch.__version__, 'triton': triton.__version__, "
        "'gpus': [g.get_device_name(i) for i in range(g.device_count())]}))"
    )
    found: dict[str, Any] = json.loads(_run("tests", "-c", code).splitlines()[-1])
    return {**found, "is_interpreted": IS_INTERPRETED}


def _run(part: str, *arguments: str) -> str:
    """Run Python and return what it printed.

    Raises:
        SubprocessError: It took too long, or failed (a failed test is no failure of pytest).
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS[part],
        check=False,
    )
    if done.returncode not in (0, 1) or (done.returncode == 1 and "pytest" not in arguments):
        raise subprocess.SubprocessError((done.stderr or done.stdout).strip()[-2_000:])
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
