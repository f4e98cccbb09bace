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

from tts.operators.draft_chunks import DraftChunks
from tts.operators.vote import vote
from tts.pipeline import Pipeline


class Config(DraftChunks):
    """Parameters of ATTS: those of the operator `draft_chunks`."""


def build(config: Config) -> Pipeline:
    """Draft, read, take over; vote."""
    return Pipeline.of(DraftChunks(**config.model_dump())) >> vote()
