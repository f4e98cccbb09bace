"""Adaptive consistency: how many samples it takes, by hand."""

import pytest

from tests.support.scripts import in_order
from tests.support.solving import solve
from tts.engine.scripted import ScriptedEngine
from tts.strategies.adaptive_consistency import Config, build


@pytest.mark.parametrize(
    ("answers", "config", "calls"),
    [
        ((12,), Config(), 4),  # 1 - (1/2)^5 = 0.969; after three 0.9375
        ((12,), Config(stop_at=0.9), 3),  # 0.9375
        ((12,), Config(certainty="dirichlet"), 4),  # one answer: as Beta
        ((12, 13), Config(n=6), 6),  # never certain; settled by none
        ((12,), Config(certainty="share", stop_at=0.8), 2),  # their majority rule needs two
        ((None, 12, 12, 12, 12), Config(), 5),  # a missing answer is no vote
    ],
)
def test_it_stops_after_exactly_as_many(
    answers: tuple[int | None, ...], config: Config, calls: int
) -> None:
    result = solve(ScriptedEngine(in_order(*answers)), build(config))
    assert result.usage.calls == calls
    assert result.answer is not None and result.answer.text == "12"


def test_dirichlet_asks_for_more_than_beta_where_there_are_three_answers() -> None:
    answers = (12, 13, 14, 12, 12, 12, 12, 12, 12, 12, 12)
    beta = solve(ScriptedEngine(in_order(*answers)), build(Config()))
    dirichlet = solve(ScriptedEngine(in_order(*answers)), build(Config(certainty="dirichlet")))
    # Beta stops at (6, 1, 1), the eighth sample: 0.965.
    assert beta.usage.calls == 8
    assert dirichlet.usage.calls > 8


def test_all_at_once_it_stops_at_the_same_evidence_and_cancels_the_rest() -> None:
    result = solve(ScriptedEngine(in_order(12)), build(Config(n=10, batch=None)))
    assert result.answer is not None and result.answer.support.voters == 4
    assert result.usage.calls == 10
