"""How much of a model's context a prompt leaves for what it is to generate."""

from tts.errors import ContextError


def check_context(num_prompt_tokens: int, context_tokens: int, keep_free: int = 0) -> int:
    """Return how many tokens may be generated after a prompt, `keep_free` left over.

    Raises:
        ContextError: There is no room for even one.
    """
    room = context_tokens - num_prompt_tokens - keep_free
    if room < 1:
        kept = f", {keep_free} of them kept for what follows" if keep_free else ""
        raise ContextError(
            f"the prompt has {num_prompt_tokens} tokens and leaves no room to generate: "
            f"the model's context is {context_tokens} tokens{kept}; shorten the prompt or raise "
            f"max_model_len"
        )
    return room
