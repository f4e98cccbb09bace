"""Problems that begin alike run together, and so many at once as the KV cache holds."""

import asyncio
import random
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.engine.scripted import INFO, Ask, Line, ScriptedEngine
from tts.operators import sample, vote
from tts.runtime.admission import Admission
from tts.runtime.job import Job
from tts.runtime.ordering import Placed, group_by_beginning, in_order
from tts.runtime.runtime import Runtime
from tts.types import Message, Problem, Result, Sampling, Usage

PIPELINE = sample(n=2) >> vote()
A, B = "a" * 1024, "b" * 1024  # 16 blocks of 64: just worth it


def problem(text: str) -> Problem:
    return Problem(id=text[-3:], statement="", messages=(Message("user", text),))


def job(text: str, priority: int = 0) -> Job:
    return Job(PIPELINE, problem(text), Sampling(), priority=priority)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["x", "y", "z"], [([0], 0), ([1], 0), ([2], 0)]),
        # Short beginnings change nothing: 1,023 characters are 15 blocks.
        ([A[:1023] + "1", "y", A[:1023] + "2"], [([0], 0), ([1], 0), ([2], 0)]),
        ([A + "1", "y", A + "2", B, A + "0"], [([0, 2, 4], 1024), ([1], 0), ([3], 0)]),
        # A group comes where its first member stood.
        (["y", A + "1", B + "1", A + "2", B + "2"], [([0], 0), ([1, 3], 1024), ([2, 4], 1024)]),
        # The tree within a group: those that share 2,048 stand together.
        (
            [A + A + "1", A + B + "1", A + A + "2", A + B + "2", A],
            [([0, 2, 1, 3, 4], 1024)],
        ),
        ([A, A, "y", A], [([0, 1, 3], 1024), ([2], 0)]),  # the same problem, several times
    ],
)
def test_groups(texts: list[str], expected: list[tuple[list[int], int]]) -> None:
    assert group_by_beginning(texts) == expected


@given(st.lists(st.lists(st.sampled_from([A, B, "tail"]), min_size=1, max_size=4), max_size=12))
def test_every_text_is_in_one_group_and_begins_as_its_group_does(pieces: list[list[str]]) -> None:
    texts = ["".join(some) for some in pieces]
    groups = group_by_beginning(texts)
    assert sorted(index for members, _ in groups for index in members) == [*range(len(texts))]
    firsts = [members[0] for members, _ in groups]
    assert firsts == sorted(firsts)
    for members, shared in groups:
        assert members[0] == min(members)
        assert len({texts[index][:shared] for index in members}) == 1
    beginnings = [texts[first][:1024] for first in firsts if len(texts[first]) >= 1024]
    assert len(set(beginnings)) == len(beginnings)  # those of different groups differ


def test_long_texts_take_no_time() -> None:
    rng = random.Random(0)
    documents = ["".join(rng.choices("abcdefgh ", k=20_000)) for _ in range(20)]
    texts = [f"{rng.choice(documents)}{i}" for i in range(2_000)]
    began = time.process_time()
    groups = group_by_beginning(texts)
    assert time.process_time() - began < 1.0
    assert sorted(len(members) for members, _ in groups)[0] > 50 and len(groups) == 20


def test_priorities_follow_the_order() -> None:
    jobs = [job(text, place) for place, text in enumerate([A + "1", "yyy", A + "2"])]
    placed = in_order(jobs)
    assert [p.job.problem.id for p in placed] == ["aa1", "aa2", "yyy"]
    assert [p.job.priority for p in placed] == [0, 1, 2]
    # 1,024 characters and a few, four to a token.
    assert [(p.shared_tokens, p.own_tokens) for p in placed] == [(256, 1), (256, 1), (0, 2)]
    assert placed[0].group == placed[1].group != placed[2].group


def test_a_run_reads_each_document_once_and_gives_the_same_results() -> None:
    """One problem at a time, and a cache that forgets all but the last document."""

    def run(jobs: list[Job]) -> tuple[list[str], dict[str, Result]]:
        engine = ScriptedEngine(lambda ask: Line(f"\\boxed{{{ask.seed % 5}}}"))

        async def main() -> dict[str, Result]:
            runtime = Runtime(engine, max_problems=1)
            async with runtime, runtime.run_many(jobs) as results:
                return {result.problem.id: result async for result in results}

        results = asyncio.run(main())
        return [request.prompt.messages[0].content[:1] for request in engine.requests], results

    jobs = [job(document + str(i), i) for i in range(3) for document in (A, B)]
    asked, together = run(jobs)
    assert asked == ["a"] * 3 + ["b"] * 3
    alone = {name: r for one in jobs for name, r in run([one])[1].items()}
    answers = {name: [s.text for s in r.samples] for name, r in alone.items()}
    assert {name: [s.text for s in r.samples] for name, r in together.items()} == answers


def placed(group: int, shared: int, own: int) -> Placed:
    return Placed(job("p"), group, shared, own)


async def admitted(admission: Admission, wanted: list[Placed]) -> int:
    """Return how many of these are admitted at once."""
    for count, one in enumerate(wanted):
        try:
            async with asyncio.timeout(0.01):
                await admission.acquire(one)
        except TimeoutError:
            return count
    return len(wanted)


def test_as_many_prompts_are_admitted_as_the_cache_holds() -> None:
    async def main() -> None:
        # 0.9 x 1,000 tokens. Alone each takes 250: three. With 200 in common: 200 + 14 x 50.
        apart = [placed(i, 0, 250) for i in range(9)]
        assert await admitted(Admission(64, kv_tokens=lambda: 1000), apart) == 3
        shared = Admission(64, kv_tokens=lambda: 1000)
        together = [placed(0, 200, 50) for _ in range(20)]
        assert await admitted(shared, together) == 14
        shared.release(together[0])
        assert await admitted(shared, together) == 1
        # Nothing runs: even what does not fit is let in. Unknown caches limit nothing.
        assert await admitted(Admission(64, kv_tokens=lambda: 10), [placed(0, 0, 99)] * 2) == 1
        assert await admitted(Admission(5), [placed(0, 0, 10**9)] * 9) == 5
        # A budget lets one in at least, too.
        assert await admitted(Admission(64, has_budget=lambda: False), [placed(0, 0, 0)] * 9) == 1

    asyncio.run(main())


def test_what_problems_generate_is_learned_from_those_before() -> None:
    def result(*samples: tuple[int, float], wall: float = 10.0, reused: int = 0) -> Result:
        async def main() -> Result:
            engine = ScriptedEngine(lambda ask: Line("\\boxed{1}"))
            async with Runtime(engine) as runtime:
                pipeline = sample(n=len(samples)) >> vote()
                return await runtime.run(Job(pipeline, problem("p"), Sampling()))

        made = asyncio.run(main())
        drawn = [
            replace(one, usage=Usage(generated_tokens=tokens, seconds=seconds))
            for one, (tokens, seconds) in zip(made.samples, samples, strict=True)
        ]
        usage = Usage(seconds=wall, reused_tokens=reused)
        return replace(made, samples=tuple(drawn), usage=usage)

    async def room_after(*results: Result) -> int:
        admission = Admission(64, kv_tokens=lambda: 1000)
        for one in results:
            await admission.acquire(placed(0, 0, 0))
            admission.release(placed(0, 0, 0), one)
        return await admitted(admission, [placed(i, 0, 100) for i in range(20)])

    at_once = result((200, 10.0), (200, 10.0))  # both all the time: 2 x 100 on the mean
    in_turns = result((400, 5.0), (400, 5.0))  # one after the other: 200 on the mean
    replayed = result((200, 10.0), (200, 10.0), wall=0.01, reused=400)
    for seen, expected in (((at_once,), 3), ((in_turns,), 3), ((replayed,), 9), ((), 9)):
        assert asyncio.run(room_after(*seen)) == expected  # 900 // (100 + 200), or // 100


def test_a_cache_of_known_size_limits_a_run() -> None:
    beside: list[int] = []  # samples that run when one begins

    def say(ask: Ask) -> Line:
        beside.append(engine.num_running)
        return Line("\\boxed{1}" * 5)

    engine = ScriptedEngine(say, info=replace(INFO, kv_block_size=4, kv_blocks=200))

    async def main() -> None:
        jobs = [
            Job(sample(n=1) >> vote(), problem(f"{i}{'x' * 1200}"), Sampling()) for i in range(6)
        ]
        async with Runtime(engine) as runtime, runtime.run_many(jobs) as results:
            assert len([result async for result in results]) == 6

    asyncio.run(main())
    assert max(beside) == 1  # 0.9 x 800 tokens hold two prompts of 300
