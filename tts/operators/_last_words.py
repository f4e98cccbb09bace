"""The answer of a text that has none, by words that it is made to go on with."""

from dataclasses import replace

from tts.graph_prompts import LAST_WORDS
from tts.protocols import Context
from tts.trajectories import ask
from tts.types import Completion, Prompt


async def ask_for_answer(
    context: Context, prompt: Prompt, text: str, *, index: int, most: int
) -> Completion | None:
    """Return what follows `LAST_WORDS` behind a text, greedily; None where nothing was granted.

    Args:
        context: Of the node.
        prompt: What the text replies to.
        text: It.
        index: Of the trajectory.
        most: Tokens of the answer.
    """
    sampling = replace(context.sampling, temperature=0.0, max_tokens=most)
    asked = replace(prompt, prefill=text + LAST_WORDS)
    return await ask(context, asked, seed=context.seed(f"{index}/answer"), sampling=sampling)
