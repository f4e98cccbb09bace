"""The inside of a Ray actor, without Ray."""

import asyncio
import time
from dataclasses import replace

from tts.engine.ray_host import Host
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.protocols import Engine
from tts.types import GenerationRequest, Prompt, Sampling


def test_news_of_a_busy_actor_come_together() -> None:
    def one_by_one(ask: Ask) -> Line:
        return replace(Line("so it goes"), ticks=2 * (ask.index + 1))

    async def engines() -> list[Engine]:
        return [ScriptedEngine(one_by_one, tick_seconds=0.002)]

    async def main() -> None:
        host = Host(engines)
        await host.start()
        await host.generate(0, 0, GenerationRequest(Prompt(text="go on"), Sampling(), n=60))
        began, calls, found = time.monotonic(), 0, set[int]()
        while len(found) < 60:
            found |= {completion.index for _, completion in (await host.news()).finished}
            calls += 1
        # One end every 4 ms; the news are 50 ms apart.
        assert calls <= 2 + (time.monotonic() - began) / 0.05

    asyncio.run(asyncio.wait_for(main(), 30))
