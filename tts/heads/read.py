"""The states of recorded solutions: their texts are read again, many at a time."""

import asyncio
from collections.abc import Callable, Sequence

from tts import prompts
from tts.errors import CapabilityError, ContextError, InputError
from tts.protocols import Engine
from tts.types import Problem, Prompt, ReadStates, StateSpec

_AT_A_TIME = 64
_ANY_TOKEN = 0  # the last token of a text is not read


def check_layers(engine: Engine, layers: Sequence[int]) -> None:
    """Refuse an engine that gives no states, or has no such layers, before a token is spent.

    Raises:
        CapabilityError: It gives none.
        InputError: It has no such layer.
    """
    if not engine.capabilities.states:
        raise CapabilityError(
            f"{engine.info.name} gives no hidden states; a model that runs in this process does: "
            "record the server's samples with `tts eval`, then `tts train-verifier --from RUN "
            "--model MODEL?pooling`"
        )
    most = engine.info.layers or 0
    if bad := [layer for layer in layers if not 1 <= layer <= most]:
        raise InputError(f"--layer {bad[0]}: {engine.info.name} has layers 1 to {most}")


def default_layers(engine: Engine) -> tuple[int, ...]:
    """Return the layers that are tried by default: a half, three quarters, and all of them up."""
    most = engine.info.layers or 1
    return tuple(sorted({max(1, most // 2), max(1, 3 * most // 4), most}))


async def text_ids(
    engine: Engine,
    problem: Problem,
    text: str,
    *,
    prompt_token_ids: tuple[int, ...],
    token_ids: tuple[int, ...],
) -> tuple[Prompt, tuple[int, ...]]:
    """Return a solution as `read_states` takes it: by its own tokens, where they are known.

    Otherwise the problem is written as `tts.prompts.solve` does, and a token is added, which is not
    read, in the place of the one that ended the text.
    """
    if token_ids and prompt_token_ids:
        return Prompt(token_ids=prompt_token_ids), token_ids
    return prompts.solve(problem), (*await engine.tokenize(text), _ANY_TOKEN)


async def read_all(
    engine: Engine,
    texts: Sequence[tuple[Prompt, tuple[int, ...]]],
    spec: StateSpec,
    *,
    done: Callable[[int, ReadStates | None], None],
) -> None:
    """Read texts, many at a time.

    Args:
        engine: Reads them.
        texts: Prompts and what follows them; those of one prompt side by side, which is then read
            once.
        spec: Which states.
        done: Given the index of a text and what was read, as it comes; None of one that is too
            long for the engine's context.
    """
    waiting = iter(enumerate(texts))

    async def work() -> None:
        for index, (prompt, token_ids) in waiting:
            try:
                read = await engine.read_states(prompt, token_ids, spec)
            except ContextError:
                done(index, None)
            else:
                done(index, read)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_A_TIME):
            group.create_task(work())
