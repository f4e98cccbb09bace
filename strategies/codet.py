"""CodeT: sample programs and tests, run all pairs, take a program that most of both agree on.

Source: Chen et al. 2022, "CodeT: Code Generation with Generated Tests", arXiv:2207.10397 (dual
execution agreement). Departures: see the verifier `written_tests`; with `regression` programs that
fail more of the problem's own tests than the best one do not compete, which is not in the paper.
"""

from pydantic import Field

from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of CodeT; the paper draws 100 programs and 100 answers with tests."""

    n: int = Field(8, ge=1, description="programs that are drawn")
    tests: int = Field(4, ge=1, description="answers with tests, of each of which five are kept")
    regression: bool = Field(
        False, description="whether programs must pass the problem's own tests, as far as any does"
    )


def build(config: Config) -> Pipeline:
    """Sample, write tests and run all pairs, take the first of the best set."""
    verifier = f"written_tests(n={config.tests})"
    if config.regression:
        verifier = f"written_tests(n={config.tests}, regression=True)"
    return sample(n=config.n) >> score(verifier=verifier) >> select(by=verifier)
