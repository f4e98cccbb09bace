"""ESC: windows, by hand."""

import pytest

from tests.support.scripts import in_order
from tests.support.solving import solve
from tts.engine.scripted import ScriptedEngine
from tts.strategies.esc import Config, build


@pytest.mark.parametrize(
    ("answers", "calls", "answer"),
    [
        ((12,), 5, "12"),  # the first window agrees
        ((13, 12, 12, 12, 12, 12, 12, 12, 12, 12), 10, "12"),  # the second does
        ((12, 13), 20, "12"),  # none does: 10 to 10, and 12 was first
        ((None,) * 5 + (12,) * 5, 10, "12"),  # no answers are not unanimous
        # The third window says 13, but 12 has eight votes to seven: a departure.
        ((12, 12, 12, 12, 13) * 2 + (13,) * 5, 15, "12"),
    ],
)
def test_windows(answers: tuple[int | None, ...], calls: int, answer: str) -> None:
    engine = ScriptedEngine(in_order(*answers))
    result = solve(engine, build(Config(n=20)))
    assert result.usage.calls == calls
    assert {request.n for request in engine.requests} == {5}
    assert result.answer is not None and result.answer.text == answer
