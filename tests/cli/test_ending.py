"""However a command ends, it says so in a line: interrupted twice, on a full disk, after a fork."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
START = """
import asyncio
import os
import resource
import signal
import sys
import tts
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.support.commands import add_up as answer
from tts.cli.main import run
from tts.engine import running
from tts.engine.scripted import ScriptedEngine

class Slow(ScriptedEngine):
    async def aclose(self):
        print("closing", flush=True)
        await asyncio.sleep(60)

async def make_engine(options):
    engine = Slow if "slow" in sys.argv[1] else ScriptedEngine
    return engine(answer, tick_seconds=0.005 if "slow" in sys.argv[1] else 0)

running.make_engine = make_engine
"""
EVAL = START + "sys.exit(run(['eval', 'file', '--data', 'sums.jsonl', *sys.argv[2:]]))"
FULL = "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
FULL += "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))\n"
FORKED = """
tts.solve("What is 1 plus 2?", preset="single")
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
for act in (lambda: tts.solve("What is 1 plus 2?", preset="single"), tts.shutdown):
    try:
        act()
    except tts.errors.EngineError as error:
        print(error, flush=True)
os._exit(7)
"""


@pytest.fixture(autouse=True)
def _sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": str(i), "problem": f"What is {i} plus 2?", "answer": "2"} for i in range(64)]
    Path("sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
def test_a_second_interrupt_ends_the_process_with_a_line() -> None:
    process = start(EVAL, "slow", "--epochs", "50")
    deadline = time.monotonic() + 60
    while not list(Path("runs").glob("*/generations.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "closing\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    last = [line for line in err.splitlines() if line.strip() and "\r" not in line][-2:]
    assert last[0] == "interrupted; what was finished is kept. Go on with:"
    assert last[1].startswith("  tts eval file")
    assert "Traceback" not in err and "never retrieved" not in err


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["early_stop", "self_consistency"])
def test_a_full_disk_is_one_line(preset: str) -> None:
    code = EVAL.replace("sys.exit", f"{FULL}sys.exit", 1)
    process = start(code, "full", "--preset", preset, "--epochs", "20")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    said = [line for line in err.splitlines() if "error: " in line]
    assert len(said) == 1 and "cannot be written" in said[0]
    assert "Traceback" not in err and "never retrieved" not in err


def test_a_fork_does_not_wait_for_its_parents_engines() -> None:
    process = start(START + FORKED, "fork")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 7, err
    first, second = out.splitlines()
    assert first == second
    assert first.startswith("this process was forked from process ")
    assert "get_context('spawn')" in first
