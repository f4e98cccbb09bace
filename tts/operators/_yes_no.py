"""Asking a model a question that it answers with yes or no."""

from tts.errors import CapabilityError
from tts.operators._plainly import without_thinking
from tts.protocols import Context, Engine
from tts.trajectories import ask
from tts.types import Prompt, Sampling

NEEDS = frozenset({"own_prompts", "token_ids"})
_YES, _NO = ("yes", "Yes"), ("no", "No")


async def leans_yes(context: Context, prompt: Prompt, *, label: str) -> bool | None:
    """Return whether a model holds yes for likelier than no; None where it could not be asked.

    Its first token is drawn greedily among those with which "yes", "Yes", "no" and "No" begin, so
    that whatever else it would rather say makes no difference. A model that thinks is made not to.

    Args:
        context: Bound to the engine that is asked, which has the capabilities of `NEEDS`.
        prompt: Ends with the question.
        label: Tells this question's seed from the others' of the node.

    Raises:
        CapabilityError: The model's vocabulary does not tell yes from no by the first token.
    """
    engine = context.engine
    yes, no = [await _first_tokens(engine, words) for words in (_YES, _NO)]
    if not yes or not no or yes & no:
        raise CapabilityError(f"{engine.info.name} does not tell yes from no by their first token")
    sampling = Sampling(
        temperature=0.0, max_tokens=1, extra_body={"allowed_token_ids": sorted(yes | no)}
    )
    plain = without_thinking(prompt, engine)
    reply = await ask(context, plain, seed=context.seed(label), sampling=sampling)
    said = set() if reply is None else set(reply.token_ids)
    return True if said & yes else False if said & no else None


async def _first_tokens(engine: Engine, words: tuple[str, ...]) -> set[int]:
    return {ids[0] for word in words if (ids := await engine.tokenize(word))}
