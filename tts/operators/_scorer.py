"""One verifier's scores within an operator: asked for, told to the trace, attached."""

from collections.abc import Sequence
from functools import partial

from tts.protocols import Context
from tts.scoring import ask_verifier, warn_of_failure
from tts.search.once import Once
from tts.types import Score, Trajectory


class Scorer:
    """Scores trajectories; equal ones once where their text decides the score.

    A verifier's failure becomes a score with an error, and a warning.

    Args:
        context: The operator's.
        verifier: Name of the verifier, with its options.
    """

    def __init__(self, context: Context, verifier: str) -> None:
        self._context, self._verifier = context, verifier
        self._known = Once[Score]() if _is_by_text(context, verifier) else None

    async def score(self, trajectory: Trajectory) -> Trajectory:
        """Return a trajectory with its score, which does not depend on others."""
        ask = partial(self._ask, trajectory)
        key = (trajectory.text, trajectory.finish_reason, trajectory.answer)
        score = await (ask() if self._known is None else self._known.get(key, ask))
        return self._told(trajectory, score)

    async def score_all(self, trajectories: Sequence[Trajectory]) -> list[Trajectory]:
        """Return trajectories with their scores, for which the verifier sees all of them."""
        scores = await ask_verifier(self._context.checking(), self._verifier, trajectories)
        return [self._told(t, score) for t, score in zip(trajectories, scores, strict=True)]

    async def _ask(self, trajectory: Trajectory) -> Score:
        (score,) = await ask_verifier(self._context.checking(), self._verifier, [trajectory])
        return score

    def _told(self, trajectory: Trajectory, score: Score) -> Trajectory:
        name, skipped = self._verifier, set(score.not_run)
        steps = [None if i in skipped else round(value, 4) for i, value in enumerate(score.steps)]
        self._context.emit("score", id=trajectory.id, verifier=name, value=score.value, steps=steps)
        warn_of_failure(self._context, name, score)
        return trajectory.with_score(name, score)


def _is_by_text(context: Context, name: str) -> bool:
    """Return whether equal trajectories have equal scores, by those that it asks where it does."""
    spec = context.verifier(name).spec
    return spec.by_text or (
        bool(spec.verifiers) and all(_is_by_text(context, other) for other in spec.verifiers)
    )
