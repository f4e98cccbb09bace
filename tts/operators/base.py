"""What all operators share: validated parameters, and how trajectories are made."""

from pydantic import BaseModel, ConfigDict

from tts.answers import extract_answer
from tts.protocols import Context
from tts.types import Completion, Origin, Trajectory


class OperatorModel(BaseModel):
    """An operator's parameters: its fields, as a preset writes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def to_trajectory(
    context: Context,
    completion: Completion,
    *,
    seed: int,
    parents: tuple[Trajectory, ...] = (),
    index: int | None = None,
) -> Trajectory:
    """Make a finished trajectory of a completion.

    Args:
        context: The node's context.
        completion: What the engine returned.
        seed: Base seed of the request; the completion's index is added.
        parents: What it continues or revises.
        index: Its place among the node's trajectories; the completion's index if None.
    """
    place = completion.index if index is None else index
    is_error = completion.finish_reason == "error"
    return Trajectory(
        id=f"{context.node}:{place}",
        origin=Origin(context.node, place, seed + completion.index),
        text=completion.text,
        finish_reason=completion.finish_reason,
        parents=tuple(parent.id for parent in parents),
        prompt_token_ids=completion.prompt_token_ids,
        token_ids=completion.token_ids,
        answer=None if is_error else extract_answer(completion.text, context.problem.answer_type),
        logprobs=completion.logprobs,
        confidences=completion.confidences,
        usage=completion.usage,
        error=completion.error,
    )
