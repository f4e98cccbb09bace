"""How much room a completion has where nobody chose it."""

import asyncio
from dataclasses import replace

import pytest

from tts.engine.scripted import ALL, INFO, Ask, Line, ScriptedEngine, lines
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.presets.load import load_preset
from tts.runtime.checks import with_room
from tts.session.runtime import Runtime
from tts.types import Sampling


def engine(context: int | None, *, thinks: bool) -> ScriptedEngine:
    info, capabilities = replace(INFO, context_tokens=context), replace(ALL, thinks=thinks)
    return ScriptedEngine(lines(r"\boxed{1}"), info=info, capabilities=capabilities)


@pytest.mark.parametrize(
    ("context", "thinks", "expected"),
    [
        (32_768, False, 2048),
        (131_072, True, 16_384),
        (20_000, True, 10_000),  # prompts and what is asked next need their part
        (1_000, True, 2048),
        (None, True, 16_384),
    ],
)
def test_a_model_that_thinks_has_room_for_its_thought(
    context: int | None, thinks: bool, expected: int
) -> None:
    preset = load_preset("single")
    fitted = with_room(preset.sampling, engine(context, thinks=thinks))
    assert (fitted.max_tokens, fitted.leaves_room) == (expected, False)


def test_a_limit_that_was_chosen_stands() -> None:
    thinker = engine(None, thinks=True)
    chosen = load_preset("single", ["sampling.max_tokens=2048"]).sampling
    assert with_room(chosen, thinker) == chosen == replace(Sampling(), max_tokens=2048)
    assert with_room(Sampling(max_tokens=64), thinker).max_tokens == 64


def test_requests_of_a_run_ask_for_that_room() -> None:
    asked: list[int] = []

    def script(ask: Ask) -> Line:
        asked.append(ask.request.sampling.max_tokens)
        return Line(r"\boxed{1}")

    thinker = ScriptedEngine(script, capabilities=replace(ALL, thinks=True))

    async def run() -> None:
        async with Runtime(thinker) as runtime:
            await runtime.run("single", "1 + 0?")
            await runtime.run(sample(n=1) >> vote(), "0 + 1?")

    asyncio.run(run())
    assert asked == [5_000, 5_000]  # of a context of 10,000
