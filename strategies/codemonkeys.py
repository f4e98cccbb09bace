"""CodeMonkeys: programs voted for by model-written tests; a test of its own tells the best apart.

Source: Ehrlich et al. 2025, "CodeMonkeys: Scaling Test-Time Compute for Software Engineering",
arXiv:2501.14723. Departures, beside those of the verifiers `written_tests` and `tell_apart`: the
paper's attempts edit a repository in turns, each with a test that it writes first and revises on
the unchanged code; here an attempt at a function is one answer, and as many answers with tests are
drawn beside them; files are not ranked, since there are none.
"""

from pydantic import Field

from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of CodeMonkeys."""

    n: int = Field(10, ge=1, description="programs, and answers with tests")
    keep: int = Field(3, ge=2, le=16, description="programs among which the model chooses")
    attempts: int = Field(8, ge=1, le=64, description="most answers of the choice")


def build(config: Config) -> Pipeline:
    """Sample, vote by written tests, let the model tell the best apart."""
    votes = f"written_tests(n={config.n}, by=votes)"
    choice = f"tell_apart(by='{votes}', keep={config.keep}, attempts={config.attempts})"
    voted = sample(n=config.n) >> score(verifier=votes)
    return voted >> score(verifier=choice) >> select(by=choice)
