"""R2E-Gym's hybrid: programs by the tests that they pass, ties by a model, within its n best.

Source: Jain et al. 2025, "R2E-Gym: Procedural Environments and Hybrid Verifiers for Scaling
Open-Weights SWE Agents", arXiv:2504.07164: the score of a candidate is the number of model-written
tests that it passes, 0 if it passes fewer regression tests than the best one, plus the probability
that a model gives it, for the `keep` candidates with the best probabilities alone. Departures: the
regression tests are the problem's own `tests`; the model is asked as it is for a verdict (with
`judge(k=1, reads=logprob)` for its probability, on engines that tell it), where the paper
fine-tunes one on trajectories; `keep` defaults to half the candidates, which the paper leaves open.
"""

from pydantic import Field

from tts.operators.prune import prune
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of the hybrid verifier; the paper goes up to 26 candidates."""

    n: int = Field(8, ge=1, description="programs that are drawn")
    tests: int = Field(2, ge=1, description="answers with tests, of each of which ten are kept")
    keep: int | None = Field(
        None, ge=1, description="programs that compete, by the model's opinion; half if none"
    )
    judge: str = Field("judge(k=1)", description="verifier that gives the model's probability")


def build(config: Config) -> Pipeline:
    """Sample, judge, run the tests, add both for the best by the judge."""
    # The share of at most so many tests, times more than there are, is decided by no opinion.
    tests = f"written_tests(n={config.tests}, keep=10, by=votes, regression=True)"
    both = f"ensemble(verifiers=[{tests}, {config.judge}], mode=sum, weights=[1000, 1])"
    kept = config.keep or -(-config.n // 2)
    judged = sample(n=config.n) >> score(verifier=config.judge) >> score(verifier=tests)
    return judged >> prune(by=config.judge, keep=kept) >> score(verifier=both) >> select(by=both)
