"""How much of several attempts is shown: all of them, or the ends of those that are too long."""

from collections.abc import Sequence

from tts.protocols import Context
from tts.trajectories import estimated_tokens
from tts.types import Prompt, Trajectory

_TEMPLATE_TOKENS = 16  # of a message, as the budget reckons
_HEADING_TOKENS = 8  # of "Attempt 12:" and the space around it
_SHRINK = 0.95


async def fit(
    context: Context,
    attempts: Sequence[Trajectory],
    texts: Sequence[str],
    *,
    around: Prompt,
    limit: int | None,
    max_tokens: int,
) -> list[str]:
    """Return texts, cut at the front so that together they have room; a cut is a warning.

    The room is `limit` and, where the model's context is known, what it leaves beside the rest of
    the prompt and `max_tokens` of an answer, or half of it where the answer would take more. Short
    texts are shown whole, and the longer ones share what these leave. Where it may matter tokens
    are counted by the engine, if it can; elsewhere each attempt has its own number of characters
    per token.

    Args:
        context: The node's.
        attempts: Whose texts they are.
        texts: What is to be shown of each.
        around: The prompt without them.
        limit: Most tokens of all; None for no limit but the context's.
        max_tokens: Most tokens that are to be generated.
    """
    most = [_bound(*pair) for pair in zip(attempts, texts, strict=True)]
    said = "\n".join(message.content for message in around.messages)
    beside = _HEADING_TOKENS * len(texts) + _TEMPLATE_TOKENS * len(around.messages)
    if sum(most) <= _room(context, limit, beside + len(said.encode()), max_tokens):
        return list(texts)
    counts = [await _count(context, *pair) for pair in zip(attempts, texts, strict=True)]
    beside += await _tokens(context, said) or len(said.encode())
    room = _room(context, limit, beside, max_tokens)
    if sum(counts) <= room:
        return list(texts)
    shares = share(counts, int(room))
    context.warn(
        f"of {len(texts)} attempts with {sum(counts):,} tokens the last {sum(shares):,} are shown, "
        "for which there is room"
    )
    return [
        await _cut(context, attempt, text, count, kept)
        for attempt, text, count, kept in zip(attempts, texts, counts, shares, strict=True)
    ]


def share(counts: Sequence[int], room: int) -> list[int]:
    """Return how much of each is shown: of short ones all, of the others equal parts of the rest.

    Args:
        counts: Tokens of each.
        room: Tokens of all that are shown; less than the sum of the counts.
    """
    shares = [0] * len(counts)
    order = sorted(range(len(counts)), key=counts.__getitem__)
    for rank, place in enumerate(order):
        shares[place] = min(counts[place], room // (len(counts) - rank))
        room -= shares[place]
    return shares


def _room(context: Context, limit: int | None, beside: int, max_tokens: int) -> float:
    total = context.engine.info.context_tokens
    rooms = [float("inf")] if limit is None else [float(limit)]
    if total is not None:
        rooms.append(max(0, total - beside - min(max_tokens, total // 2)))
    return min(rooms)


def _bound(attempt: Trajectory, text: str) -> int:
    """Return a number of tokens that a part of an attempt's text does not exceed."""
    size = len(text.encode())
    return min(size, attempt.usage.generated_tokens or size)


async def _count(context: Context, attempt: Trajectory, text: str) -> int:
    counted = await _tokens(context, text)
    if counted is not None:
        return counted
    generated = attempt.usage.generated_tokens or len(attempt.text)
    return -(-len(text) * generated // max(1, len(attempt.text)))


async def tokens_of(context: Context, text: str) -> int:
    """Return the tokens of a text; an estimate where the engine cannot count them."""
    counted = await _tokens(context, text)
    return estimated_tokens(text) if counted is None else counted


async def _tokens(context: Context, text: str) -> int | None:
    if not context.engine.capabilities.token_ids:
        return None
    return len(await context.engine.tokenize(text))


async def _cut(context: Context, attempt: Trajectory, text: str, count: int, kept: int) -> str:
    while count > kept:
        size = int(len(text) * min(_SHRINK, kept / count))
        text = text[len(text) - size :]
        count = await _count(context, attempt, text) if text else 0
    return text
