"""Self-certainty, NoThinking: ranks by certainty, by hand."""

import pytest

from tests.support.scripts import sure
from tests.support.solving import solve
from tts.engine.scripted import ScriptedEngine
from tts.pipeline import Pipeline
from tts.strategies import no_thinking, self_certainty

# Ranks 1, 2, 3: with power 1 they weigh 3, 2, 1; 13 has 2 + 1 and is first, with power 2 12 wins.
PAIRS = ((13, 3.2), (12, 3.5), (13, 3.1))


@pytest.mark.parametrize(
    ("pipeline", "answer"),
    [
        (self_certainty(n=3, power=0.0), "13"),  # a majority vote
        (self_certainty(n=3, power=1.0), "13"),  # 3 to 3, the first sample decides
        (self_certainty(n=3, power=2.0), "12"),  # 9 to 4 + 1
        (self_certainty(n=3, choose="best"), "12"),
    ],
)
def test_votes_by_rank_of_certainty(pipeline: Pipeline, answer: str) -> None:
    engine = ScriptedEngine(sure(*PAIRS))
    result = solve(engine, pipeline)
    assert result.answer is not None and result.answer.text == answer
    assert engine.requests[0].sampling.logprobs == 20


@pytest.mark.parametrize(
    ("pipeline", "answer"),
    [
        (no_thinking(n=3, power=2.0), "12"),
        (no_thinking(n=3, choose="best"), "12"),
        (no_thinking(n=3, verifier="confidence(measure=mean)"), "12"),
    ],
)
def test_no_thinking_opens_with_an_empty_thought(pipeline: Pipeline, answer: str) -> None:
    engine = ScriptedEngine(sure(*PAIRS))
    result = solve(engine, pipeline)
    assert result.answer is not None and result.answer.text == answer
    assert engine.requests[0].prompt.beginning == "<think>\n\n</think>\n\n"
