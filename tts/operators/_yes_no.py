"""Asking a model a question that it answers with yes or no."""

from dataclasses import replace

from tts.prompts import NO_THINKING
from tts.protocols import Context
from tts.trajectories import ask
from tts.types import Prompt, Sampling

NEEDS = frozenset({"own_prompts", "token_ids"})
_WORDS = {"yes": True, "Yes": True, "no": False, "No": False}


async def leans_yes(context: Context, prompt: Prompt, *, label: str) -> bool | None:
    """Return whether a model holds yes for likelier than no; None where it could not be asked.

    Its first token is drawn greedily among those with which "yes", "Yes", "no" and "No" begin, so
    that whatever else it would rather say makes no difference. A model that thinks is made not to.

    Args:
        context: Bound to the engine that is asked, which has the capabilities of `NEEDS`.
        prompt: Ends with the question.
        label: Tells this question's seed from the others' of the node.
    """
    engine = context.engine
    firsts = {(await engine.tokenize(word))[0]: says for word, says in _WORDS.items()}
    sampling = Sampling(
        temperature=0.0, max_tokens=1, extra_body={"allowed_token_ids": sorted(firsts)}
    )
    if engine.capabilities.thoughts:
        prompt = replace(prompt, thought=NO_THINKING)
    reply = await ask(context, prompt, seed=context.seed(label), sampling=sampling)
    if reply is None or not reply.token_ids:
        return None
    return firsts.get(reply.token_ids[-1])
