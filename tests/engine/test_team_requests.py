"""Requests of teams beside an engine: what does not fit, what is left undone, and what it cost."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.test_teamwork import Letters
from tests.engine.written_out import TEAM, team_of
from tts.buffered_stream import BufferedStream
from tts.engine.segments import CacheForm, Segments
from tts.engine.teams import Teams, TeamStream
from tts.engine.teamwork import Row
from tts.engine.translate import Meter
from tts.errors import ContextError, EngineError
from tts.types import GenerationRequest, ModelInfo, Prompt, Sampling, Team, Usage

CONTEXT = 200
SHARED = len(TEAM.others) + len(TEAM.own)  # of what two workers see between their texts


class Encoder(Letters):
    """A token is a character, of prompts as well."""

    def encode(self, prompt: Prompt, template_kwargs: Any) -> tuple[int, ...]:
        return self.tokenize(prompt.text)

    def special_ids(self) -> list[int]:
        return []


class Forward:
    """A model of which every worker draws the same letter."""

    letter = "x"

    def __init__(self) -> None:
        form = CacheForm(1, 1, 2, torch.float32, torch.device("cpu"))
        self.segments = Segments(form)

    def run(self, rows: Sequence[Row]) -> Tensor:
        for row in rows:
            self.segments.extend(row.view[-1], len(row.tokens))
        logits = torch.zeros(len(rows), 128)
        logits[:, ord(self.letter)] = 1.0
        return logits


def working(work: Callable[[Teams, Forward], Awaitable[None]]) -> None:
    async def main() -> None:
        forward = Forward()
        engine = SimpleNamespace(
            vllm_config=SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=8))
        )
        meter = Meter(ModelInfo(name="m", fingerprint="f", context_tokens=CONTEXT))
        await work(Teams(engine, Encoder(), meter, lambda _: forward), forward)
        assert forward.segments.num_pages == 0

    asyncio.run(main())


def begin(
    teams: Teams, prompt: int, team: Team = TEAM, *, n: int = 1, priority: int = 0
) -> TeamStream:
    """Let teams begin on a prompt of so many tokens."""

    async def abort() -> Usage:
        return teams.abort(stream)

    stream: TeamStream = BufferedStream(n, convert=lambda done: done, abort=abort)
    sampling = Sampling(temperature=0.0, max_tokens=20)
    asked = Prompt(text="?" * prompt)
    teams.add(stream, GenerationRequest(asked, sampling, n, priority=priority, team=team), team)
    return stream


def test_what_the_workers_open_with_has_to_fit_as_well() -> None:
    async def work(teams: Teams, forward: Forward) -> None:
        other = begin(teams, 10)
        with pytest.raises(ContextError, match="leaves no room to generate"):
            begin(teams, CONTEXT - 40, team_of("A", "B", "C"))
        while teams.is_busy:
            teams.step()
        assert (await anext(other)).finish_reason == "length"

    working(work)


def test_what_was_not_read_is_not_charged() -> None:
    async def work(teams: Teams, forward: Forward) -> None:
        stream = begin(teams, 100, n=2)
        teams.step()  # reads what all see
        spent = await stream.aclose()
        assert (spent.prompt_tokens, spent.generated_tokens, spent.calls) == (
            2 * (100 + SHARED),
            0,
            2,
        )
        assert spent.cached_tokens == 100 + SHARED

    working(work)


def test_a_free_place_goes_to_the_lower_priority_number() -> None:
    async def work(teams: Teams, forward: Forward) -> None:
        streams = {p: begin(teams, 10, n=4, priority=p) for p in (2, 3, 1)}  # 8 workers have room
        ended: list[int] = []

        async def read(priority: int) -> None:
            async for _ in streams[priority]:
                ended.append(priority)

        readers = [asyncio.create_task(read(priority)) for priority in streams]
        while teams.is_busy:
            teams.step()
            await asyncio.sleep(0)
        await asyncio.gather(*readers)
        assert ended == [1] * 4 + [2] * 4 + [3] * 4

    working(work)


def test_what_a_team_reads_stays_below_its_limit_where_words_count() -> None:
    async def work(teams: Teams, forward: Forward) -> None:
        team = team_of("A", "B", step_ends="paragraph", counts_put=True)
        forward.letter = "\n"  # so that every other token ends a step
        stream = begin(teams, 10, team)
        while teams.is_busy:
            teams.step()
        usage = (await anext(stream)).usage
        first = 10 + sum(map(len, team.put_first))
        assert (usage.prompt_tokens or 0) + (usage.generated_tokens or 0) <= first + 20

    working(work)


def test_texts_between_are_charged_once_they_are_read() -> None:
    async def work(teams: Teams, forward: Forward) -> None:
        stream = begin(teams, 100)
        for _ in range(4):
            teams.step()
        assert teams.tokens_in_flight() == 3 * 2
        spent = await stream.aclose()
        openings = sum(map(len, TEAM.openings))
        assert spent.prompt_tokens == 100 + SHARED + openings
        assert spent.generated_tokens == 3 * 2 and teams.tokens_in_flight() == 0

    working(work)


def test_a_dead_engine_leaves_no_cache() -> None:
    async def work(teams: Teams, forward: Forward) -> None:
        stream = begin(teams, 10)
        teams.step()
        held = sys.getrefcount(forward)
        teams.bury(EngineError("the engine is closed"))
        assert sys.getrefcount(forward) < held
        with pytest.raises(EngineError, match="is closed"):
            await anext(stream)

    working(work)
