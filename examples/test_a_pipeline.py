"""Test a pipeline of your own without a model: a scripted engine says what the test wants.

A token is one character and time is virtual, so such a test is quick and always ends alike.
"""

import asyncio

import tts
from tts.engines import ScriptedEngine, lines
from tts.operators import sample, vote


async def main() -> None:
    """Let three samples vote, two of which agree."""
    engine = ScriptedEngine(lines(r"\boxed{4}", r"\boxed{5}", r"\boxed{4}"))
    async with tts.Runtime(engine) as runtime:
        result = await runtime.run(sample(n=3) >> vote(), "What is 2 + 2?")
    assert result.answer is not None and result.answer.text == "4"
    assert result.answer.support.votes == 2
    print(f"the majority won after {len(engine.requests)} request for 3 samples")


if __name__ == "__main__":
    asyncio.run(main())
