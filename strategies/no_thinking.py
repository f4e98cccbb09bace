"""NoThinking: many short attempts with an empty thought, chosen by the model's own certainty.

Source: Ma et al. 2025, "Reasoning Models Can Be Effective Without Thinking", arXiv:2504.09858;
temperature 0.6, top_p 0.95. The thought is skipped; an attempt that reaches `sampling.max_tokens`
is cut there, and "Final Answer:" forces an answer out of it. Borda vote by self-certainty where
answers can be compared, the most certain attempt for open ones, a verifier where there is one.

Departures: the thought is skipped in the way that the model's own template knows (a switch, or an
empty thought), where the source writes "Okay, I think I have finished thinking." into it, which
`words` does too; the forced answer has `answer_tokens` of its own beyond the limit. Certainty is
measured over all tokens that the model drew, as in `self_certainty`.
"""

from typing import Literal

from pydantic import Field

from tts.operators.force import force
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline
from tts.strategies.self_certainty import MEASURE


class Config(Parameters):
    """Parameters of NoThinking."""

    n: int = Field(16, ge=1, description="trajectories sampled in parallel")
    words: str = Field(
        "", description="all that the thought says; it is skipped in the model's own way if empty"
    )
    lead: str = Field("Final Answer:", min_length=1, description="first words of a forced answer")
    answer_tokens: int = Field(100, ge=1, description="most tokens of a forced answer")
    choose: Literal["borda", "best"] = Field(
        "borda",
        description="vote by rank of certainty, or keep the most certain (for open answers)",
    )
    power: float = Field(0.5, ge=0, description="exponent of the Borda weights")
    verifier: str | None = Field(
        None, description="verifier whose best attempt is kept, instead; certainty decides if none"
    )


def build(config: Config) -> Pipeline:
    """Attempt without thinking, measure, choose."""
    measured = config.verifier or MEASURE
    by_rank = config.choose == "borda" and config.verifier is None
    choice = vote(weights=measured, borda=config.power) if by_rank else select(by=measured)
    attempts = force(
        n=config.n,
        mode="no_thinking",
        words=config.words,
        lead=config.lead,
        answer_tokens=config.answer_tokens,
    )
    return attempts >> score(verifier=measured) >> choice
