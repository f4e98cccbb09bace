"""Commands in processes of their own, which are struck in the middle."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 60.0  # seconds


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a script that runs the command line on an engine of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def strike(
    process: subprocess.Popen[str],
    is_time: Callable[[], bool],
    blow: signal.Signals = signal.SIGKILL,
) -> tuple[str, str]:
    """Send a signal once it is time, or the process has ended; return all that it printed."""
    deadline = time.monotonic() + _PATIENCE
    while not is_time() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(blow)
    return process.communicate(timeout=_PATIENCE)
