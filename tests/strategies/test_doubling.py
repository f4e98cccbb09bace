"""Rounds of 2, 4, 8, 16 by hand."""

import pytest

from tests.support.scripts import in_order
from tests.support.solving import solve
from tts.engine.scripted import ScriptedEngine
from tts.errors import PresetError
from tts.presets.load import load_preset


@pytest.mark.parametrize(
    ("answers", "overrides", "calls"),
    [
        ((7,), [], 2),  # 2 of 2
        ((7, 8, 7, 7), [], 4),  # 1 of 2, then 3 of 4
        ((7, 8, 7, 7), ["share=0.6"], 4),
        ((7, 7, 8), ["share=1.0"], 2),
        ((1, 2, 3, 4), [], 16),  # never
        ((1, 2, 3, 4, 5), ["n=5"], 5),  # 2, 4 and the rest
        ((7,), ["n=1"], 1),
        ((7, None), [], 16),  # half of the samples have no answer
    ],
)
def test_it_stops_at_the_share(
    answers: tuple[int | None, ...], overrides: list[str], calls: int
) -> None:
    result = solve(ScriptedEngine(in_order(*answers)), "doubling", overrides=overrides)
    assert result.usage.calls == calls
    assert result.answer is not None and result.answer.text == str(answers[0])


def test_a_share_of_half_is_refused() -> None:
    with pytest.raises(PresetError, match=r"greater than 0\.5"):
        load_preset("doubling", ["share=0.5"])


def test_what_is_not_worth_it_is_not_drawn() -> None:
    # (2, 0) still gains more than 0.2 points a sample, (3, 0) does not.
    assert solve(ScriptedEngine(in_order(7)), "value_stop").usage.calls == 3
    # At 8 to 7 the last of sixteen cannot change the winner.
    assert solve(ScriptedEngine(in_order(7, 8)), "value_stop").usage.calls == 15
