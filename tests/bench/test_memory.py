"""Memory does not grow with the problems that are done."""

import tracemalloc
from pathlib import Path

import pytest

from tts.bench import memory


@pytest.mark.slow
def test_finished_problems_leave_next_to_nothing_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_resident", lambda: tracemalloc.get_traced_memory()[0])
    tracemalloc.start()
    try:
        marks = memory.measure(tmp_path, problems=200, samples=4, tokens=2048)
    finally:
        tracemalloc.stop()
    assert marks[-1][0] == 200 and len(marks) == 10
    # Its four completions of 2,048 tokens would be 4 x 97 kB.
    assert memory.grown_by(marks) < 8_000
