"""Archon: generators, then layers of fusers, each behind a critic and a ranker.

Source: Saad-Falcon et al. 2024, "Archon: An Architecture Search Framework for Inference-Time
Techniques", arXiv:2409.15254: generators (several models, temperature 0.7), up to three layers of
fusers, each with a critic and a ranker before it that keeps five, and one fuser that closes it.
Candidates are checked by a model, or by tests that a model writes, where `verifier` says so.

What a search varies are the numbers and the verifier: `tts search` with a space over `n`, `layers`,
`fusers`, `keep`, `fuser` and `verifier` (docs/tuning.md). Departures: prompts are ours; one engine
is the fuser of all layers, and the run's own model is critic and ranker; the last fuser, too, has a
critic and a ranker before it; a verifier keeps its best candidates, where the source keeps those
that it calls right, so that one is left.
"""

from pydantic import Field

from tts.operators.fuse import fuse
from tts.operators.score import score
from tts.operators.select import select
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline
from tts.strategies._base import Engines, drawn_in_turn

_CRITIC = "critic"
_RANKER = f"list_rank(critic={_CRITIC})"


class Config(Parameters):
    """Parameters of the layers."""

    n: int = Field(8, ge=1, description="candidates that are generated")
    engines: Engines = ("",)
    layers: int = Field(1, ge=0, le=3, description="layers of fusers before the last fuser")
    fusers: int = Field(4, ge=1, description="candidates that each of these layers writes")
    keep: int = Field(5, ge=1, description="candidates that a ranker lets through")
    fuser: str = Field("", description="engine that fuses; the run's own if empty")
    verifier: str | None = Field(
        None, description="verifier that chooses what the last fuser sees, after the ranker, if any"
    )


def build(config: Config) -> Pipeline:
    """Generate; criticise, rank and fuse, layer by layer."""
    candidates = drawn_in_turn(config.n, config.engines)
    for _ in range(config.layers):
        candidates = _ranked(candidates, config.keep) >> fuse(
            n=config.fusers, critic=_CRITIC, engine=config.fuser
        )
    last = _ranked(candidates, config.keep)
    if config.verifier is not None:
        best = max(1, config.keep // 2)
        last = last >> score(verifier=config.verifier) >> select(by=config.verifier, keep=best)
    return last >> fuse(critic=_CRITIC, engine=config.fuser)


def _ranked(candidates: Pipeline, keep: int) -> Pipeline:
    """Criticise candidates, and let the best of the ranker's list through."""
    judged = candidates >> score(verifier=_CRITIC) >> score(verifier=_RANKER)
    return judged >> select(by=_RANKER, keep=keep)
