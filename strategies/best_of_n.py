"""Best-of-n: sample `n` trajectories, score each as it ends, keep the best.

Source: Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168. Its
weighted form, which adds the scores of equal answers, is `weighted_vote`.
"""

from pydantic import Field

from tts.operators.sample import Mode, sample
from tts.operators.score import score
from tts.operators.select import select
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of best-of-n."""

    n: int = Field(16, ge=1, description="trajectories sampled in parallel")
    verifier: str = Field("prm", description="verifier whose score decides")
    quorum: int = Field(1, ge=1, description="fewest scored trajectories for a choice")
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Sample, score, keep the best."""
    best = select(by=config.verifier, quorum=config.quorum)
    return sample(n=config.n, mode=config.mode) >> score(verifier=config.verifier) >> best
