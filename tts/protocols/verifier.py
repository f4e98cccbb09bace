"""What scores trajectories."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tts.protocols.context import Context
from tts.types import ModelInfo, Score, StateSpec, Trajectory


@dataclass(frozen=True, slots=True)
class VerifierSpec:
    """What a verifier needs of the run's engines and gives.

    Attributes:
        needs: Names of engine capabilities.
        steps: Gives one value per step.
        unit_interval: Values lie in [0, 1] and may be summed as weights without calibration.
        summable: Values are no probabilities, but its source sums them; they are never negative.
        compares: Judges trajectories against each other, and so needs all of them at once.
        verifiers: Names of the verifiers that it asks.
        logprobs: Candidates per token whose log-probabilities it reads; 0 for none.
        certainties: Reads the tokens' entropies or self-certainties, and `logprobs` only where an
            engine of the run cannot tell them.
        engine: Name of the run's engine that it asks and that meets `needs`; empty for the policy.
        model: The reward model that it reads; None if it reads none.
        by_text: A score depends on the problem, the text and how it ended alone, so that equal
            trajectories are scored once.
        states: Hidden states that it reads of completions of the policy; None if it reads none.
        weights: The only model whose hidden states it can read, as `ModelInfo.weights`; empty for
            any.
        bars: Values of steps below which a solution is hopeless, each after the share of right
            solutions that are lost by giving up there.
    """

    needs: frozenset[str] = frozenset()
    steps: bool = False
    unit_interval: bool = False
    summable: bool = False
    compares: bool = False
    verifiers: tuple[str, ...] = ()
    logprobs: int = 0
    certainties: bool = False
    engine: str = ""
    model: ModelInfo | None = None
    by_text: bool = False
    states: StateSpec | None = None
    weights: str = ""
    bars: tuple[tuple[float, float], ...] = ()


class Verifier(Protocol):
    """Anything that scores trajectories."""

    @property
    def spec(self) -> VerifierSpec:
        """What it needs and gives."""
        ...

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Return one score per trajectory, in order; a failure is a `Score` with an error."""
        ...

    async def aclose(self) -> None:
        """Free what the verifier owns; idempotent."""
        ...
