"""The wave on reflection words, by hand; presets that name it, engines that lack it."""

from dataclasses import replace

import pytest

from tests.support.scripts import says
from tests.support.solving import PROBLEM
from tts.engine.reflection import Bias, Schedule, spellings, wave
from tts.engine.scripted import ALL, ScriptedEngine
from tts.errors import CapabilityError, PresetError
from tts.presets.load import load_preset
from tts.runtime.checks import check_job
from tts.runtime.job import Job
from tts.types import Budget, Reflection

END = 9
WAVE = Reflection(amplitude=2.0, period=8)


@pytest.mark.parametrize(
    ("place", "expected"),
    [(0, 0.0), (1, 1.0), (2, 2.0), (3, 1.0), (4, 0.0), (5, -1.0), (6, -2.0), (7, -1.0), (8, 0.0)],
)
def test_the_wave_at_each_eighth_of_a_period(place: int, expected: float) -> None:
    assert wave(WAVE, place) == expected


def test_a_period_adds_up_to_nothing() -> None:
    assert sum(wave(Reflection(amplitude=3.0, period=20), t) for t in range(20)) == pytest.approx(0)


def test_a_quarter_ahead_begins_at_the_top_and_ends_in_time() -> None:
    ahead = Reflection(amplitude=2.0, period=8, shift=0.25, until=4)
    assert [wave(ahead, t) for t in range(6)] == [2.0, 1.0, 0.0, -1.0, 0.0, 0.0]


def test_words_are_tokens_to_the_letter_and_the_space() -> None:
    vocabulary = ["wait", " Wait", "Wait", "BUT", "but", " but", "", "Wait,"]
    assert spellings(vocabulary, Reflection().words) == (0, 2, 4)
    assert spellings(vocabulary, [" Wait", " but"]) == (1, 5)


def schedule(*end_ids: int) -> Schedule:
    return Schedule(WAVE, (1, 3), end_ids or (END,))


def test_after_the_thought_nothing_is_added() -> None:
    written = [5]
    bias = Bias(schedule(), written)
    assert bias.next() == 1.0
    written.append(END)
    assert bias.next() == 0.0
    written.append(5)
    assert bias.next() == 0.0


@pytest.mark.parametrize(("written", "expected"), [([7, 8, 5], 0.0), ([8, 7, 5], 1.0)])
def test_a_tag_of_several_tokens_in_a_sequence_that_comes_back(
    written: list[int], expected: float
) -> None:
    assert Bias(schedule(7, 8), written).next() == expected


def test_a_preset_names_the_wave() -> None:
    assert load_preset("cyclic_reflex").sampling.reflection == Reflection(5.0, 1200)
    changed = load_preset("cyclic_reflex", ["sampling.reflection.period=600"])
    assert changed.sampling.reflection == Reflection(5.0, 600)
    with pytest.raises(PresetError, match="period"):
        load_preset("cyclic_reflex", ["sampling.reflection.period=0"])


def test_an_engine_without_logits_processors_refuses_it() -> None:
    lacking = replace(ALL, logits_processors=False)
    preset = load_preset("cyclic_reflex")
    job = Job(preset.pipeline, PROBLEM, preset.sampling)
    for capabilities, refuses in ((ALL, False), (lacking, True)):
        engine = ScriptedEngine(says(1), capabilities=capabilities)
        try:
            check_job(job, {"": engine}, {}, Budget())
        except CapabilityError as error:
            assert refuses and "logits processors" in str(error)
        else:
            assert not refuses
