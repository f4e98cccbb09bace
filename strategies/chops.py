"""CHOPS: one question chooses among all candidates by a checklist that it writes first.

Source: Khairi et al. 2025, "When Life Gives You Samples", arXiv:2506.20544; n = 5 hedged
candidates. The policy itself is asked, where the source takes a larger model. A choice that cannot
be read leaves the greedy candidate.
"""

from pydantic import Field

from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of CHOPS."""

    n: int = Field(5, ge=1, description="candidates, the greedy one included")


def build(config: Config) -> Pipeline:
    """Sample, the first greedily; ask once; keep the chosen one."""
    return (
        sample(n=config.n, greedy_first=True)
        >> score(verifier="checklist")
        >> select(by="checklist")
    )
