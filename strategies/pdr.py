"""Parallel-Distill-Refine: rounds of parallel drafts, each shown a bounded workspace of the last.

Source: Madaan et al. 2025, "Rethinking Thinking Tokens: LLMs as Improvement Operators",
arXiv:2510.01123: rounds of 8, 16-8 or 16-8-4 drafts and then one, k = 2 or 4 drafts shown. With one
draft in every round it is sequential refinement (SR): each attempt sees the last answer alone.
`distil: summary` writes one shared workspace, `random` and `best` show each draft of the next round
k drafts of the last, without their thoughts. Departures: `best` ranks by a verifier's score and
shows all of the next round the same drafts, where the source lets the model grade; `random` is
drawn for each draft.
"""

from typing import Literal

from pydantic import Field

from tts.operators.follow import follow
from tts.operators.fuse import fuse
from tts.operators.sample import Mode, sample
from tts.operators.score import score
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of Parallel-Distill-Refine."""

    drafts: tuple[int, ...] = Field(
        (8,), min_length=1, description="drafts of each round but the last, which has one"
    )
    distil: Literal["summary", "random", "best"] = Field(
        "random",
        description="what becomes the workspace: a summary, random drafts, or the best ones",
    )
    show: int = Field(4, ge=1, description="drafts in a workspace that is no summary")
    workspace_tokens: int = Field(1024, ge=16, description="most tokens of a workspace")
    into: Literal["solution", "choice"] = Field(
        "solution", description="what drafts are asked for: a new solution, or a choice"
    )
    verifier: str = Field("prm", description="verifier whose score makes a draft the best")
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Draft, then distil and draft again; the last round has one draft."""
    pipeline = sample(n=config.drafts[0], mode=config.mode)
    for num_drafts in (*config.drafts[1:], 1):
        pipeline >>= _next_round(config, num_drafts)
    return pipeline


def _next_round(config: Config, num_drafts: int) -> Pipeline:
    limit = config.workspace_tokens
    if config.distil == "summary":
        return fuse(into="notes", max_tokens=limit) >> follow(n=num_drafts)
    if config.distil == "random":
        return fuse(
            into=config.into, n=num_drafts, show=config.show, pick="random", max_shown_tokens=limit
        )
    best = fuse(
        into=config.into,
        n=num_drafts,
        show=config.show,
        pick="best",
        by=config.verifier,
        max_shown_tokens=limit,
    )
    return score(verifier=config.verifier) >> best
