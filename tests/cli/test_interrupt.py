"""A real process that is interrupted or killed in the middle of an evaluation."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tests.support.processes import start, strike

Tts = Callable[..., Outcome]
# Slow enough to be hit in the middle: some 25 ticks of 20 ms for each round of problems in flight.
# A parent in the background may have told it to ignore SIGINT.
SCRIPT = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.support.commands import add_up as answer
from tts.engine.scripted import ScriptedEngine
from tts.engine import running
from tts.cli.main import run

async def make_engine(options):
    return ScriptedEngine(answer, tick_seconds=0.02)

running.make_engine = make_engine
sys.exit(run(sys.argv[1:]))
"""


def finished_lines() -> int:
    return sum(path.read_bytes().count(b"\n") for path in Path("runs").glob("*/problems.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_process_is_resumed(tts: Tts, blow: signal.Signals) -> None:
    rows = [{"id": str(i), "problem": f"What is {i} plus 2?", "answer": "2"} for i in range(12)]
    Path("sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["eval", "file", "--data", "sums.jsonl", "--preset", "self_consistency"]
    command += ["--set", "n=4", "--epochs", "24"]
    process = start(SCRIPT, *command)
    _, err = strike(process, lambda: finished_lines() >= 2, blow)
    finished = finished_lines()
    assert 2 <= finished < 288
    if blow is not signal.SIGKILL:
        assert process.returncode == 128 + blow
        assert "interrupted; what was finished is kept. Go on with:\n  tts eval file" in err
    assert "Traceback" not in err
    resumed = tts(*command, "--json")
    (run,) = resumed.json["runs"]
    lines = (Path(run["out"]) / "problems.jsonl").read_text().splitlines()
    places = [(row["problem"], row["repeat"]) for row in map(json.loads, lines)]
    assert len(places) == len(set(places)) == 288
    assert run["samples"] == 1152  # 12 x 24 x 4
    seconds = json.loads((Path(run["out"]) / "run.json").read_text())["sessions"]
    assert len(seconds) == 2 and run["seconds"] > seconds[1]["seconds"] - 0.01
