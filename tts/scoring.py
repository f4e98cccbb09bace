"""Ask a verifier of the run; what it fails at is data."""

from collections.abc import Sequence

from tts.errors import VerifierError, survivable
from tts.protocols import Context
from tts.types import Score, Trajectory


async def ask_verifier(
    context: Context, name: str, trajectories: Sequence[Trajectory]
) -> list[Score]:
    """Return a verifier's scores, one per trajectory; its failure is the error of all of them.

    Args:
        context: What the verifier sees of the run.
        name: Its name in the run.
        trajectories: What it judges.

    Raises:
        TTSError: Nothing can go on: the engine or the run's folder is lost.
    """
    try:
        scores = await context.verifier(name).score(context, trajectories)
        if len(scores) != len(trajectories):
            raise VerifierError(f"{len(scores)} scores for {len(trajectories)} trajectories")
    except Exception as raised:
        error = survivable(raised)
        return [Score(value=None, error=f"{type(error).__name__}: {error}")] * len(trajectories)
    return scores


def warn_of_failure(context: Context, name: str, score: Score) -> None:
    """Say in the result that a verifier failed, if its score says so."""
    if score.error is not None:
        context.warn(f"verifier {name!r} failed: {score.error}")
