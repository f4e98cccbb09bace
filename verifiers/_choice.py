"""Asking a model which of several attempts is best, and reading what it says."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from tts.answers.canonical import canonical_form
from tts.answers.exact import find_answer
from tts.prompts import parse_best
from tts.protocols import Context
from tts.types import GenerationRequest, Prompt, Trajectory


def read_choice(context: Context, text: str, attempts: Sequence[Trajectory]) -> int | None:
    """Return the position of the attempt that a text chooses; None if it cannot be read.

    A line "Best: N" names it; a final answer does so too, if just one of the attempts gives it.
    """
    number = parse_best(text)
    if number is not None:
        return number - 1 if 1 <= number <= len(attempts) else None
    kind = context.problem.answer_type
    answer = find_answer(text, context.problem)
    if answer is None:
        return None
    key = canonical_form(answer, kind)
    same = [
        i
        for i, attempt in enumerate(attempts)
        if attempt.answer is not None and canonical_form(attempt.answer, kind) == key
    ]
    return same[0] if len(same) == 1 else None


async def ask_choice(
    context: Context, prompt: Prompt, attempts: Sequence[Trajectory], label: str
) -> int | None:
    """Draw one choice among attempts; None if the budget is spent or it cannot be read.

    Args:
        context: The node's.
        prompt: Shows the attempts in order.
        attempts: Those shown.
        label: Tells this request's seed from the others' of the node.
    """
    sampling = replace(context.sampling, logprobs=None)
    request = GenerationRequest(prompt, sampling, seed=context.seed(f"choice\x1f{label}"))
    async with aclosing(context.generate(request)) as stream:
        async for completion in stream:
            choice = read_choice(context, completion.text, attempts)
            context.emit("choice", label=label, readable=choice is not None)
            return choice
    return None
