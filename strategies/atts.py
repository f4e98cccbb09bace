"""ATTS: a small model drafts, a large one takes over the chunks that it finds too unlikely.

Source: "ATTS: Asynchronous Test-Time Scaling via Conformal Prediction", 2025, arXiv:2509.15148: 16
attempts at temperature 0.8, each up to 15 chunks of 500 tokens; the target's perplexity of a chunk
is compared with those of calibration chunks, and where its conformal p-value is at most 0.4 the
target writes 500 tokens, after the chunk as in the published code; no attempt waits for another;
the answers vote.

`tts calibrate BENCHMARK --conformal FILE --engine-for draft=MODEL` writes the calibration.

Departures: scores are compared with those of the same turn, for chunks of later turns are less
likely, and first chunks alone do not control their rate; one set of scores serves all problems (the
paper's marginal form). A chunk goes on where the last one ends, without a blank line between them.
A chunk without a likelihood is rejected, where the published code accepts it. The vote is by
majority; the published accuracy counts a problem as right if any of 16 attempts is.
"""

from typing import Literal

from pydantic import Field

from tts.operators.draft_chunks import draft_chunks
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of ATTS."""

    n: int = Field(16, ge=1, description="attempts, which vote")
    draft: str = Field("", description="engine that drafts; the run's own if empty")
    calibration: str | None = Field(
        None, description="file of `tts calibrate --conformal`; every chunk is accepted if none"
    )
    alpha: float = Field(0.4, ge=0, le=1, description="share of chunks that are to be rejected")
    takeovers: float | None = Field(
        None, gt=0, description="chunks of the target for a problem, on average, in place of alpha"
    )
    turns: int = Field(15, ge=1, description="most chunks of a draft in one attempt")
    chunk_tokens: int = Field(500, ge=1, description="most tokens of a chunk")
    on_reject: Literal["append", "replace"] = Field(
        "append", description="where the target goes on: after the rejected chunk, or in its place"
    )


def build(config: Config) -> Pipeline:
    """Draft, read, take over; vote."""
    return draft_chunks(**dict(config)) >> vote()
