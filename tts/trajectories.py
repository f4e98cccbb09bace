"""How trajectories are made of what an engine returns."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import aclosing
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

from tts.errors import ContextError
from tts.protocols import Context
from tts.types import (
    PER_TOKEN,
    RECORDED,
    Completion,
    GenerationRequest,
    Origin,
    Problem,
    Prompt,
    Sampling,
    Score,
    States,
    Trajectory,
    Usage,
    Watch,
)

if TYPE_CHECKING:
    from tts.pipeline import Pipeline

_CHARS_PER_TOKEN = 3  # of English text, rather too few


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

    With parents the id ends in a hash of theirs, since those of two nodes may have one index.
    """
    place = completion.index if index is None else index
    own = f"{context.node}:{place}"
    # Compiles patterns for twenty languages, which loading a preset does without.
    find = import_module("tts.answers.exact").find_answer
    is_error = completion.finish_reason == "error"
    return Trajectory(
        id=f"{own}-{_fingerprint(parents)}" if parents else own,
        origin=Origin(context.node, place, seed + completion.index),
        text=completion.text,
        finish_reason=completion.finish_reason,
        parents=tuple(parent.id for parent in parents),
        prompt_token_ids=completion.prompt_token_ids,
        token_ids=completion.token_ids,
        answer=None if is_error else find(completion.text, context.problem),
        scores=_recorded(completion),
        **per_token([completion]),
        usage=completion.usage,
        error=completion.error,
        offsets=completion.offsets,
    )


def of_several(
    context: Context,
    last: Completion,
    *,
    index: int,
    text: str,
    usage: Usage,
    answer: str | None,
    error: str | None,
) -> Trajectory:
    """Make a finished trajectory of a text that several completions have written.

    Args:
        context: The node's context.
        last: Of the completions; says how the text ended.
        index: The trajectory's place among the node's.
        text: The whole.
        usage: Of all.
        answer: What was found.
        error: What went wrong, which counts only where there is no answer.
    """
    return Trajectory(
        id=f"{context.node}:{index}",
        origin=Origin(context.node, index, context.seed()),
        text=text,
        finish_reason=last.finish_reason,
        prompt_token_ids=last.prompt_token_ids,
        token_ids=last.token_ids,
        answer=answer,
        usage=usage,
        error=error if answer is None else None,
    )


def num_generated(completion: Completion | None) -> int:
    """Return a completion's generated tokens: those it holds, where nobody has counted.

    Of a server that gives neither a count nor ids it is an estimate from the text, at least one, so
    that a text which is drawn piece by piece still comes to its limit.
    """
    if completion is None:
        return 0
    counted = completion.usage.generated_tokens
    if counted is not None or completion.token_ids:
        return counted or len(completion.token_ids)
    return max(1, estimated_tokens(completion.text + (completion.stop_string or "")))


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has: one for each three characters.

    English has rather more characters to a token, so that of it this is too many.
    """
    return -(-len(text) // _CHARS_PER_TOKEN)


def per_token(parts: Sequence[Completion | Trajectory]) -> dict[str, Any]:
    """Return what is known of the tokens of parts in a row; None where a part of it is unknown."""
    columns = {name: [getattr(part, name) for part in parts] for name in PER_TOKEN}
    joined: dict[str, Any] = {
        name: None if None in values else tuple(chain.from_iterable(values))
        for name, values in columns.items()
    }
    sizes = [len(part.token_ids) for part in parts]
    return {**joined, "states": States.join([part.states for part in parts], sizes)}


async def draw(
    context: Context, request: GenerationRequest, take: Callable[[Completion], None]
) -> None:
    """Hand each completion of a request to `take` as it arrives.

    A prompt that does not fit into the model's context is a warning and gives none: an operator
    with many requests goes on with the others.
    """
    async with aclosing(context.generate(request)) as stream:
        try:
            async for completion in stream:
                take(completion)
        except ContextError as error:
            context.warn(str(error))


async def ask(
    context: Context,
    prompt: Prompt,
    *,
    seed: int,
    sampling: Sampling | None = None,
    keep_free: int = 0,
    watch: Watch | None = None,
) -> Completion | None:
    """Return one completion; None when the budget, the deadline or the context leaves none."""
    taken: list[Completion] = []
    sampling = sampling or context.sampling
    request = GenerationRequest(prompt, sampling, seed=seed, keep_free=keep_free, watch=watch)
    await draw(context, request, taken.append)
    return taken[0] if taken else None


async def solve_part(
    context: Context, body: "Pipeline", statement: str, *, name: str
) -> Trajectory | None:
    """Return the first answer that a pipeline gives to a part of the problem; None without one.

    The part has the problem's prompt options; its answer is a number or a formula where the
    problem's is one, else a text.

    Args:
        context: The node's; another engine's (`Context.asking`) is then asked.
        body: Begins with a source.
        statement: Of the part.
        name: Unique within the node.
    """
    whole = context.problem
    is_math = whole.answer_type in ("math", "integer")
    part = Problem(
        f"{whole.id}/{name}",
        statement,
        answer_type="math" if is_math else "free",
        prompt=whole.prompt,
    )
    inlet = context.spawn(body, part, name=name)
    try:
        async for trajectory in inlet:
            if trajectory.answer is not None:
                return trajectory
    finally:
        inlet.close()
    return None


def _recorded(completion: Completion) -> dict[str, Score]:
    if completion.score is None:
        return {}
    return {RECORDED: Score(completion.score, steps=completion.step_scores)}


def _fingerprint(parents: Sequence[Trajectory]) -> str:
    text = "\x1f".join(parent.id for parent in parents)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
