"""Lookahead search: beam search that scores a step by where it leads.

Source: Snell et al. 2024, arXiv:2408.03314: every candidate step is played out `lookahead` steps
further at temperature 0, and the verifier's score at the end of that replaces the step's own. The
play is thrown away, its tokens are paid for: width * (lookahead + 1) generations a level. With
`lookahead: 0` this is beam search. Departures: those of `beam_search`.
"""

from pydantic import Field

from tts.pipeline import Pipeline
from tts.strategies._search import build_search
from tts.strategies.beam_search import Config as BeamSearchConfig
from tts.strategies.beam_search import Policy


class Config(BeamSearchConfig):
    """Parameters of lookahead search."""

    lookahead: int = Field(1, ge=0, description="greedy steps played out before a step is scored")


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy, lookahead=config.lookahead)
