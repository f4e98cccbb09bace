"""Verifiers for tests: those of the catalogue by name, and one that is a function."""

from collections.abc import Callable, Sequence

from tts.parts.build import default_model, load_verifier
from tts.protocols import Context, Engine, Verifier, VerifierSpec
from tts.types import Score, Trajectory


def open_verifier(text: str, engine: Engine | None = None) -> Verifier:
    """Build a verifier from its name and options; a reward model's engine is given."""
    module, config = load_verifier(text)
    given = () if default_model(text) is None else (engine,)
    verifier: Verifier = module.build(config, *given)
    return verifier


class ByText:
    """A verifier whose score is a function of the text; what the function raises is a failure."""

    spec = VerifierSpec(unit_interval=True)

    def __init__(self, rule: Callable[[str], float]) -> None:
        self._rule = rule

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        return [Score(self._rule(trajectory.text)) for trajectory in trajectories]

    async def aclose(self) -> None:
        pass
