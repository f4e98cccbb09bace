"""Parallel-Distill-Refine: rounds of parallel drafts, each shown a bounded workspace of the last.

Source: Madaan et al. 2025, "Rethinking Thinking Tokens: LLMs as Improvement Operators",
arXiv:2510.01123: rounds of 8, 16-8 or 16-8-4 drafts and then one, k = 2 or 4 drafts shown without
their thoughts, temperature 1. With one draft in every round it is sequential refinement (SR): each
attempt sees the last answer alone.

`distil` is what becomes of a round's drafts: `graded_each`, the best in the paper, lets the model
grade them anew for each draft of the next round, which sees the k best of its own grading; `graded`
shows the k best of one grading to all; `random` shows each k of its own; `summary` writes one
summary for all; `best` (not in the paper) ranks by a verifier's score.

Departures: the paper's prompts and its bound on a workspace are not published; ours are our own,
and a workspace has what the model's context leaves, or `workspace_tokens`. A grading is one request
that names the k best.
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
    distil: Literal["graded_each", "graded", "random", "summary", "best"] = Field(
        "graded_each",
        description="what becomes the workspace: drafts that the model grades best, for each draft "
        "of the next round or once for all; random drafts; a summary; the best by a verifier",
    )
    show: int = Field(4, ge=1, description="drafts in a workspace that is no summary")
    workspace_tokens: int | None = Field(
        None, ge=16, description="most tokens of a workspace; all that the context has room for"
    )
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
    by = config.verifier if config.distil == "best" else None
    drafts = fuse(
        into=config.into,
        n=num_drafts,
        show=config.show,
        pick=config.distil,
        by=by,
        max_shown_tokens=limit,
    )
    return drafts if by is None else score(verifier=by) >> drafts
