"""Which model a server has, where its user did not say."""

import os
from importlib import import_module

from tts.errors import EngineError, ModelError


async def only_model(base_url: str, api_key_env: str | None) -> str:
    """Return the name of the only model that an OpenAI-compatible server lists.

    Args:
        base_url: Of the server.
        api_key_env: Environment variable that holds its key; None is OPENAI_API_KEY.

    Raises:
        ModelError: It lists several, or none.
        EngineError: It cannot be asked.
    """
    openai = import_module("openai")  # slow, and not needed by other engines
    key = os.environ.get(api_key_env or "OPENAI_API_KEY") or "none"
    try:
        async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=1) as client:
            page = await client.models.list()
    except openai.OpenAIError as error:
        raise EngineError(f"{base_url} does not say which models it has: {error}") from error
    names = sorted(model.id for model in page.data)
    if len(names) != 1:
        raise ModelError(
            f"{base_url} has {', '.join(names) or 'no model'}; write MODEL@{base_url} for one of "
            "several"
        )
    name: str = names[0]
    return name
