"""Asking a verifier: which failures are data, and which end the run."""

from collections.abc import Sequence

import pytest

from tests.support.scripts import says
from tests.support.solving import solve
from tts.engine.scripted import ScriptedEngine
from tts.errors import ContextError, EngineError, StoreError
from tts.operators.sample import sample
from tts.operators.score import score
from tts.protocols import Context, VerifierSpec
from tts.types import Score, Trajectory


class Says:
    """A verifier that gives these scores, or raises this."""

    spec = VerifierSpec()

    def __init__(self, outcome: list[Score] | Exception) -> None:
        self._outcome = outcome

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    async def aclose(self) -> None:
        pass


def asked(outcome: list[Score] | Exception) -> Score:
    engine, verifiers = ScriptedEngine(says(12)), {"v": Says(outcome)}
    (scored,) = solve(engine, sample() >> score(verifier="v"), verifiers=verifiers).trajectories
    return scored.scores["v"]


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (ValueError("cannot read it"), "ValueError: cannot read it"),
        (ContextError("too long"), "ContextError: too long"),
        (ExceptionGroup("", [ExceptionGroup("", [KeyError("a")])]), "KeyError: 'a'"),
        ([], "VerifierError: 0 scores for 1 trajectories"),
        ([Score(0.1), Score(0.2)], "VerifierError: 2 scores for 1 trajectories"),
    ],
)
def test_a_failure_is_an_error_score(outcome: list[Score] | Exception, message: str) -> None:
    assert asked(outcome) == Score(None, error=message)


def test_scores_are_passed_on() -> None:
    assert asked([Score(0.3)]) == Score(0.3)


@pytest.mark.parametrize("error", [EngineError("died"), StoreError("disk full")])
def test_what_ends_the_run_is_raised_even_from_a_group(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        asked(ExceptionGroup("", [error]))
