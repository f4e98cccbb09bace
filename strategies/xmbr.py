"""X-MBR: candidates judged in pairs against each other and against samples in another language.

Source: Khairi et al. 2025, "When Life Gives You Samples", arXiv:2506.20544; n = 5 hedged
candidates, 3 pieces of evidence in Chinese (English for a problem that is not in English); the
candidate with the highest mean win rate is chosen. The judge is the policy itself, where the
source takes a larger model; equal answers are a tie without a question. evidence = 0 is plain
minimum Bayes risk.
"""

from pydantic import Field

from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of X-MBR."""

    n: int = Field(5, ge=1, description="candidates, the greedy one included")
    evidence: int = Field(
        3, ge=0, description="samples in another language, which are not candidates"
    )
    k: int = Field(1, ge=1, description="judgements of each pair")


def build(config: Config) -> Pipeline:
    """Sample candidates and evidence, compare, keep the best candidate."""
    drawn = sample(n=config.n, greedy_first=True).named("candidates")
    if config.evidence:
        drawn = drawn | sample(n=config.evidence, mode="other_language").named("evidence")
    judged = f"pairwise(mode=mbr, candidates=candidates, k={config.k})"
    return drawn >> score(verifier=judged) >> select(by=judged, among="candidates")
