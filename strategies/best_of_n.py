"""Best-of-n: sample `n` trajectories, score each as it ends, keep the best.

Source: Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168.
"""

from pydantic import Field

from tts.operators.sample import Mode, sample
from tts.operators.score import score
from tts.operators.select import select
from tts.pipeline import Pipeline
from tts.strategies._base import StrategyConfig


class Config(StrategyConfig):
    """Parameters of best-of-n."""

    n: int = Field(16, ge=1, description="trajectories sampled in parallel")
    verifier: str = Field("prm", description="whose score decides")
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Sample, score, keep the best."""
    return sample(config.n, mode=config.mode) >> score(config.verifier) >> select(config.verifier)
