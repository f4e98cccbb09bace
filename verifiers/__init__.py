"""What scores a trajectory; one function for each, which says how a pipeline names it.

    import tts
    from tts.operators import sample, score, vote

    prm = tts.verifiers.prm(reduction="last")  # "prm(reduction=last)"
    pipeline = sample(n=8) >> score(verifier=prm) >> vote(weights=prm)

A pipeline names its verifiers, so that it can be written down as a preset, and a run builds those
that are named. Each is a module of this folder with `Config`, its options, and `build`. An object
of your own with the members of `Verifier` is handed to a run under a name of your choice:
`Runtime(engine, verifiers={"mine": MyVerifier()})`.
"""

from typing import TYPE_CHECKING

from tts.lazy import open_door
from tts.parts.catalog import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from tts.protocols import Verifier as Verifier
    from tts.protocols import VerifierSpec as VerifierSpec
    from tts.types import Score as Score

    calibrated: Callable[..., str]
    checklist: Callable[..., str]
    confidence: Callable[..., str]
    critic: Callable[..., str]
    ensemble: Callable[..., str]
    evaluator: Callable[..., str]
    execution: Callable[..., str]
    fastest: Callable[..., str]
    head: Callable[..., str]
    judge: Callable[..., str]
    list_rank: Callable[..., str]
    orm: Callable[..., str]
    pairwise: Callable[..., str]
    prm: Callable[..., str]
    recorded: Callable[..., str]
    rule: Callable[..., str]
    tell_apart: Callable[..., str]
    written_tests: Callable[..., str]

open_door(
    __name__,
    {
        "Score": "tts.types",
        "Verifier": "tts.protocols",
        "VerifierSpec": "tts.protocols",
        **{name: f"{__name__}.{name}" for name in names("verifier")},
    },
    take="tts.parts.build.verifier_factory",
)
