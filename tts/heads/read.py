"""The states of recorded solutions: their texts are read again, many at a time."""

import asyncio
from collections.abc import Callable, Sequence

from tts import prompts
from tts.errors import CapabilityError, ContextError, InputError
from tts.protocols import Engine
from tts.types import Problem, Prompt, States, StateSpec

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
    done: Callable[[int], None] = lambda count: None,
) -> list[States | None]:
    """Return the states of texts; None of one that is too long for the engine's context.

    Args:
        engine: Reads them.
        texts: Prompts and what follows them.
        spec: Which states.
        done: Told how many have been read.
    """
    found: list[States | None] = [None] * len(texts)
    waiting = iter(enumerate(texts))
    count = 0

    async def work() -> None:
        nonlocal count
        for index, (prompt, token_ids) in waiting:
            try:
                found[index] = (await engine.read_states(prompt, token_ids, spec)).states
            except ContextError:
                continue
            finally:
                count += 1
                done(count)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_A_TIME):
            group.create_task(work())
    return found
