"""DeepConf: filter and weights, the bar and the cut, by hand."""

from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from tests.support.results import events
from tests.support.scripts import sure
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import CapabilityError
from tts.protocols import Capabilities
from tts.strategies.deepconf import Config, build

SURE, UNSURE = (2.0,) * 40, (2.0,) * 8 + (0.1,) * 32


def talk(text: str) -> str:
    return text.ljust(30, ".") + r"\boxed{12}"


class Talker:
    """Says one of several texts and, asked to go on, goes on with it."""

    def __init__(self, texts: Sequence[tuple[str, tuple[float, ...]]]) -> None:
        self._fresh = iter(texts)
        self._texts = texts

    def __call__(self, ask: Ask) -> Line:
        said = ask.prompt.rpartition("<assistant>")[2]
        if said:
            text, confidences = next(t for t in self._texts if t[0].startswith(said))
        else:
            text, confidences = next(self._fresh)
        return Line(text[len(said) :], confidences=confidences[len(said) :])


def test_the_surest_half_votes_by_confidence() -> None:
    # The best half: 3.0 for 12 and 2.0 for 14. All together 13 would have 1.0 + 1.2 + ... < 3.0.
    engine = ScriptedEngine(sure((13, 1.9), (13, 1.8), (12, 3.0), (14, 2.0)))
    result = solve(engine, build(Config(n=4, keep=0.5)))
    assert result.answer is not None and result.answer.text == "12"
    assert result.answer.support.voters == 2
    assert result.answer.support.weight == pytest.approx(3.0)
    assert result.answer.support.probability == pytest.approx(3.0 / 5.0)
    assert engine.requests[0].sampling.logprobs == 20


def test_equal_confidences_are_self_consistency() -> None:
    engine = ScriptedEngine(sure((13, 1.0), (12, 1.0), (12, 1.0)))
    result = solve(engine, build(Config(n=3)))
    assert result.answer is not None and result.answer.text == "12"
    assert result.answer.support.voters == 3


def test_the_warm_up_sets_the_bar_and_an_unsure_draft_is_cut() -> None:
    # Warm-up groups at least 2.0 and 1.0: the bar that the best half reach is 1.5.
    # A draft is looked at after 4, 8 and 12 tokens; tokens 9 to 12 have 0.1, so it ends there.
    texts = [
        (talk("a"), SURE),
        (talk("b"), (1.0,) * 40),
        (talk("c"), UNSURE),
        (talk("d"), UNSURE),
    ]
    config = Config(n=4, warmup=2, keep=0.5, window=4, chunk=4)
    result = solve(ScriptedEngine(Talker(texts)), build(config))
    (bar,) = events(result, "bar")
    assert bar.fields["value"] == pytest.approx(1.5)
    assert [event.fields["tokens"] for event in events(result, "pruned")] == [12, 12]
    assert result.usage.generated_tokens == 2 * 40 + 2 * 12
    # The second of the warm-up is below the bar, and what was cut has no answer.
    assert result.answer is not None and result.answer.support.votes == 1
    assert result.answer.support.weight == pytest.approx(2.0)


def test_the_vote_stops_when_the_leader_has_the_weight() -> None:
    texts = [(talk(letter), SURE) for letter in "abcdefgh"]
    config = Config(n=8, warmup=2, keep=0.5, window=4, chunk=8)
    result = solve(ScriptedEngine(Talker(texts)), build(config))
    # Both of the warm-up reach the bar (equal to it) and agree: share 1 with two votes.
    assert result.answer is not None and result.answer.support.voters == 2
    assert result.usage.generated_tokens is not None
    assert result.usage.generated_tokens < 2 * 40 + 6 * 40


def test_without_log_probabilities_it_is_refused() -> None:
    engine = ScriptedEngine(sure((12, 1.0)), capabilities=Capabilities(token_ids=True))
    for config in (Config(n=4), Config(n=4, warmup=2)):
        with pytest.raises(CapabilityError, match="needs log-probabilities of tokens"):
            solve(engine, build(config))


def test_a_warm_up_that_is_larger_than_everything_is_refused() -> None:
    with pytest.raises(ValidationError, match="a warm-up of 5 is more than all 4"):
        Config(n=4, warmup=5)
