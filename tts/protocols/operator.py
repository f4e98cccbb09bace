"""What a node of a pipeline is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tts.protocols.context import Context
from tts.protocols.edges import Inlet, Outlet

State = Literal["any", "finished", "partial"]


@dataclass(frozen=True, slots=True)
class Spec:
    """What an operator takes, gives and needs, checked before the run.

    Attributes:
        accepts: State of the trajectories that it reads; None for a source, which reads none.
        emits: State of those that it sends; "any" passes on what came in.
        needs: Names of engine capabilities.
        verifiers: Names of verifiers.
        scores: Names of the scores that incoming trajectories must carry.
        weights: Those of `scores` that are summed, and so must be probabilities.
        fan_out: Most trajectories sent per trajectory read (in all, for a source); None if unknown.
        max_outputs: Most trajectories sent in all, whatever comes in; None for no such limit.
        bounded: Needs to know how many trajectories can come in.
        logprobs: Candidates per token whose log-probabilities it reads; 0 for none.
        model: The only model that it was calibrated for; empty for any.
        engines: Names of engines that the run must have beside its own, and that generate for it.
        embedders: Names of engines of the run that embed texts for it.
        compares: Counts equal answers, and so is of use only where answers can be equal.
        batch: Problems of a run that begin together, in their order, once all before them have
            ended, since it reads what it kept of those; 0 where it keeps nothing.
    """

    accepts: State | None = "any"
    emits: State = "any"
    needs: frozenset[str] = frozenset()
    verifiers: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    fan_out: int | None = 1
    max_outputs: int | None = None
    bounded: bool = False
    logprobs: int = 0
    model: str = ""
    engines: tuple[str, ...] = ()
    embedders: tuple[str, ...] = ()
    compares: bool = False
    batch: int = 0


class Operator(Protocol):
    """What a pipeline node does."""

    @property
    def spec(self) -> Spec:
        """What it takes, gives and needs."""
        ...

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Read, send, return; the runtime owns the task and closes the ends."""
        ...
