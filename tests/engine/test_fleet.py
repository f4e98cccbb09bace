"""Several engines as one: who is asked, what an outage costs, and that nothing is lost by it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Self

import pytest

from tests.support.members import Member
from tests.support.remote import ask
from tts.bench.servers.misbehaving import (
    Asked,
    Events,
    Reply,
    Server,
    models,
    refusal,
    talk,
    vllm_talk,
)
from tts.bench.servers.steady import Steady
from tts.engine.fleet import Fleet
from tts.engine.remote import pace
from tts.engine.running import make_engine
from tts.engine.scripted import ALL, INFO, Ask, Line
from tts.engine.spec import EngineSpec
from tts.errors import EngineError, InputError, ModelError
from tts.types import GenerationRequest, Message, ModelInfo, Prompt, Sampling, Usage, sum_usage


def say(ask: Ask) -> Line:
    return Line(f"{ask.seed % 1000:03d}. A step.\n\n")


def chat(text: str, n: int = 1) -> GenerationRequest:
    return GenerationRequest(Prompt(messages=(Message("user", text),)), Sampling(), n=n, seed=7)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 20))


def counts(members: list[Member]) -> list[int]:
    return [len(member.requests) for member in members]


def test_requests_go_where_the_fewest_tokens_wait() -> None:
    async def main() -> None:
        members = [Member(say) for _ in range(3)]
        fleet = Fleet(members)
        streams = [fleet.generate(chat(f"{i} is a problem of its own, " * 9)) for i in range(6)]
        await asyncio.gather(*[all_of(stream) for stream in streams])
        assert counts(members) == [2, 2, 2]
        # One request of 8 samples weighs as much as eight of one.
        heavy = fleet.generate(chat("a heavy one", n=8))
        await asyncio.sleep(0)
        light = [fleet.generate(chat(f"light {i}" * 20)) for i in range(4)]
        await asyncio.gather(*[all_of(stream) for stream in (heavy, *light)])
        assert sorted(counts(members)) == [3, 4, 4]
        await fleet.aclose()

    run(main)


async def all_of(stream: Any) -> list[Any]:
    return [completion async for completion in stream]


def test_samples_and_children_go_where_their_prefix_is() -> None:
    async def main() -> None:
        members = [Member(say) for _ in range(4)]
        fleet = Fleet(members)
        texts = [f"{i}: " + "a long problem " * 20 for i in range(8)]
        roots = await asyncio.gather(*[all_of(fleet.generate(chat(text, 2))) for text in texts])
        assert counts(members) == [2, 2, 2, 2]
        homes = {r.prompt.messages[0].content: m for m in members for r in m.requests}
        for text, children in zip(texts, roots, strict=True):
            home = homes[text]
            before = len(home.requests)
            await all_of(fleet.generate(chat(text, 4)))  # further samples
            for child in children:
                ids = child.prompt_token_ids + child.token_ids
                await all_of(fleet.generate(GenerationRequest(Prompt(token_ids=ids), Sampling())))
            assert len(home.requests) == before + 3
        await fleet.aclose()

    run(main)


def test_a_crowded_home_is_left() -> None:
    async def main() -> None:
        members = [Member(lambda ask: Line("x" * 50, hangs=True)) for _ in range(2)]
        fleet = Fleet(members)
        streams = [fleet.generate(chat("the same document " * 10 + str(i), 8)) for i in range(6)]
        await asyncio.sleep(0.1)
        # The other one reads the document too: that is quicker than to wait for eight samples.
        assert counts(members) == [3, 3]
        for stream in streams:
            assert (await stream.aclose()).calls == 8
        assert [member.num_running for member in members] == [0, 0]
        await fleet.aclose()

    run(main)


def test_what_fails_at_one_is_drawn_at_another_with_the_same_seeds() -> None:
    async def main() -> None:
        def fails(ask: Ask) -> Line:
            bad = ask.index % 2 == 1
            line = say(ask).text
            return Line(line, error="gone", is_unanswered=True) if bad else Line(line)

        bad, good = Member(fails), Member(say)
        fleet = Fleet([bad, good])
        found = sorted(await all_of(fleet.generate(chat("p", 5))), key=lambda c: c.index)
        alone = sorted(await all_of(Member(say).generate(chat("p", 5))), key=lambda c: c.index)
        assert [c.text for c in found] == [c.text for c in alone]
        assert [(r.n, r.seed, r.start) for r in good.requests] == [(1, 8, 1), (1, 10, 3)]
        # Five that came and the two that were begun in vain: all of them are paid.
        paid = sum_usage(c.usage for c in found)
        each = len(alone[0].token_ids)
        assert (paid.calls, paid.generated_tokens) == (7, 7 * each)

    run(main)


def test_one_that_is_away_is_asked_nothing_until_it_is_back() -> None:
    async def main() -> None:
        members = [Member(say), Member(say)]
        fleet = Fleet(members, patience=5)
        members[0].is_away = True
        for i in range(3):
            await all_of(fleet.generate(chat(f"{i}" * 100)))
        assert counts(members) == [0, 3]
        members[1].is_away = True
        waiting = asyncio.ensure_future(all_of(fleet.generate(chat("late"))))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        members[0].is_away = False
        assert len(await waiting) == 1 and counts(members) == [1, 3]

    run(main)


class Broken(Member):
    """Is there, and answers nothing."""

    asked = 0

    async def tokenize(self, text: str) -> tuple[int, ...]:
        Broken.asked += 1
        raise EngineError("broken")


def test_one_that_is_broken_is_asked_once_and_another_in_its_place() -> None:
    async def main() -> None:
        fleet = Fleet([Broken(say), Member(say)])
        assert await fleet.tokenize("ab") == (97, 98)
        assert Broken.asked == 1
        with pytest.raises(EngineError, match="broken"):
            await Fleet([Broken(say), Broken(say)]).tokenize("ab")
        assert Broken.asked == 3

    run(main)


class Late(Member):
    """Cannot be started at first."""

    starts = 0

    async def start(self) -> Self:
        self.starts += 1
        if self.starts == 1:
            raise EngineError("not yet")
        return self


def test_one_that_turns_out_to_run_another_model_answers_nothing() -> None:
    async def main() -> None:
        other, member = Late(say, info=ModelInfo("other", "other")), Member(say)
        fleet = Fleet([other, member])
        assert len(await all_of(fleet.generate(chat("p", 2)))) == 2
        assert await fleet.tokenize("ab") == (97, 98)
        await asyncio.gather(*[all_of(fleet.generate(chat(f"{i}" * 99))) for i in range(4)])
        assert counts([other, member]) == [0, 5]
        assert (fleet.info.name, fleet.info.replicas) == ("scripted", 1)

    run(main)


def test_when_all_stay_away_the_request_says_so() -> None:
    async def main() -> None:
        member = Member(say)
        member.is_away = True
        with pytest.raises(EngineError, match="none of the engines can be reached"):
            await all_of(Fleet([member], patience=0.1).generate(chat("p")))

    run(main)


def test_a_closed_fleet_fails_what_runs_and_says_what_it_cost() -> None:
    async def main() -> None:
        fleet = Fleet([Member(lambda ask: Line("x" * 30, hangs=True)) for _ in range(2)])
        stream = fleet.generate(chat("p", 3))
        for _ in range(500):
            if fleet.tokens_in_flight() == 90:
                break
            await asyncio.sleep(0.01)
        await fleet.aclose()
        with pytest.raises(EngineError, match="the engine is closed"):
            await anext(stream)
        lost = await stream.aclose()
        assert (lost.calls, lost.generated_tokens) == (3, 90)

    run(main)


def test_two_models_are_no_fleet() -> None:
    async def main() -> None:
        other = Member(say, info=ModelInfo("other", "other"))
        with pytest.raises(ModelError, match=r"engine 2 of scripted .* of other; all must have"):
            await Fleet([Member(say), other]).start()

    run(main)


def test_a_fleet_says_what_all_have_together() -> None:
    info = ModelInfo("m", INFO.fingerprint, kv_blocks=100, context_tokens=50)
    fleet = Fleet([Member(say, info=info), Member(say, info=info)])
    assert (fleet.info.kv_blocks, fleet.info.context_tokens, fleet.info.replicas) == (200, 50, 2)


# Several servers, from a line of text.


def test_a_line_may_name_several_servers() -> None:
    spec = EngineSpec.parse("m@http://u:pw@a:1/v1,https://b/v1, http://b:2/v1")
    assert spec.base_urls == ["http://u:pw@a:1/v1", "https://b/v1", "http://b:2/v1"]
    assert "pw" not in f"{spec}{spec.to_mapping()}"
    with pytest.raises(InputError, match="commas stand between addresses"):
        EngineSpec.parse("m@http://a/v1,b/v1")


@asynccontextmanager
async def fleet_of(servers: list[Server], **options: Any) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server.running())
        urls = ",".join(server.url for server in servers)
        engine = await make_engine(EngineSpec.parse(f"m@{urls}", options))
        assert isinstance(engine, Fleet)
        yield await stack.enter_async_context(engine)


def slow(asked: Asked) -> Events:
    return talk(asked, pieces=6, pause=0.03)


def test_a_server_that_dies_in_mid_answer_loses_no_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "_FIRST_PAUSE_SECONDS", 0.02)

    async def main() -> None:
        servers = [Server(slow), Server(slow)]
        async with fleet_of(servers) as fleet:
            first = [asyncio.ensure_future(all_of(fleet.generate(ask(3)))) for _ in range(6)]
            await asyncio.sleep(0.08)  # within their answers
            await servers[0].vanish()
            done = await asyncio.gather(*first)
            assert [sorted(c.index for c in found) for found in done] == [[0, 1, 2]] * 6
            assert {c.finish_reason for found in done for c in found} == {"stop"}
            asked = len(servers[0].asked)
            assert asked and len(servers[1].asked) >= 6
            # Its calls were cut, and are paid as far as they went: estimated, since nobody counted.
            paid = sum_usage(c.usage for found in done for c in found)
            assert paid.calls > 18 and paid.estimated_tokens > 0
            assert paid.generated_tokens == 18 * 6 + paid.estimated_tokens
            await servers[0].come_back()
            await asyncio.sleep(0.1)
            for _ in range(3):
                await asyncio.gather(*[all_of(fleet.generate(ask(2))) for _ in range(4)])
            assert len(servers[0].asked) > asked  # it is found again

    run(main)


def test_one_server_may_be_away_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_FIRST_PAUSE_SECONDS", 0.02)

    async def main() -> None:
        here, away = Server(), Server()
        async with here.running(), away.running():
            await away.vanish()
            engine = await make_engine(EngineSpec.parse(f"m@{away.url},{here.url}"))
            fingerprint = engine.info.fingerprint
            assert len(await all_of(engine.generate(ask(4)))) == 4
            await away.come_back()
            await asyncio.sleep(0.1)
            await asyncio.gather(*[all_of(engine.generate(ask(4))) for _ in range(4)])
            assert away.asked and engine.info.fingerprint == fingerprint
            await engine.aclose()

    run(main)


def test_no_server_at_all_ends_the_start() -> None:
    async def main() -> None:
        with pytest.raises(EngineError, match="cannot reach"):
            await make_engine(EngineSpec.parse("m@http://127.0.0.1:9/v1,http://127.0.0.1:19/v1"))

    run(main)


def test_servers_of_other_models_are_refused() -> None:
    async def main() -> None:
        roots = ("/here/qwen", "/there/qwen", "/there/other")
        servers = [Server(vllm_talk, models("m", owner="vllm", root=root)) for root in roots]
        async with fleet_of(servers[:2]):
            pass
        with pytest.raises(ModelError, match="engine 2 of m does not run what the first does"):
            async with fleet_of(servers[1:]):
                pass

    run(main)


def test_members_call_tools_only_where_all_do() -> None:
    """One has refused them, as each learns for itself; they have the same model all the same."""

    async def main() -> None:
        able = [replace(ALL, tool_calls=calls) for calls in (True, False)]
        fleet = Fleet([Member(say, capabilities=each) for each in able])
        await fleet.start()
        assert not fleet.capabilities.tool_calls and fleet.capabilities.token_ids
        assert Fleet([Member(say, capabilities=able[0])]).capabilities.tool_calls
        await fleet.aclose()

    run(main)


def test_a_server_that_bars_us_takes_no_requests_away() -> None:
    async def main() -> None:
        barred = Server(lambda asked: refusal(401, "wrong key"))
        async with fleet_of([barred, Server()]) as fleet:
            done = [await all_of(fleet.generate(ask(2))) for _ in range(6)]
            assert {c.finish_reason for found in done for c in found} == {"stop"}
            assert len(barred.asked) <= 2

    run(main)


def test_a_request_that_breaks_every_server_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(asked: Asked) -> Reply:
        return refusal(500, "boom") if "poison" in str(asked.body) else talk(asked)

    async def main() -> None:
        servers = [Server(breaks), Server(breaks)]
        async with fleet_of(servers) as fleet:
            await all_of(fleet.generate(ask()))
            poison, *others = [fleet.generate(chat(f"poison {i}"[i and 7 :])) for i in range(9)]
            (failed,) = await all_of(poison)
            assert failed.is_unanswered and "boom" in failed.error
            for other in others:
                assert [c.finish_reason for c in await all_of(other)] == ["stop"]
            assert sum("poison" in str(body) for s in servers for body in s.bodies) == 2

    run(main)


def test_a_busy_server_is_waited_for() -> None:
    async def main() -> None:
        calls = iter(range(100))

        def busy(asked: Asked) -> Reply:
            is_full = next(calls) == 1
            return (
                refusal(429, "later", headers={"Retry-After": "0.05"}) if is_full else talk(asked)
            )

        async with fleet_of([Server(busy), Server(slow)]) as fleet:
            done = await asyncio.gather(*[all_of(fleet.generate(ask())) for _ in range(6)])
            assert {c.finish_reason for found in done for c in found} == {"stop"}
            assert sum_usage(c.usage for found in done for c in found).calls == 6

    run(main)


def test_what_is_closed_early_is_counted_exactly() -> None:
    async def main() -> None:
        servers = [Server(vllm_talk, models("m", owner="vllm")) for _ in range(2)]
        async with fleet_of(servers) as fleet:
            stream = fleet.generate(ask(4))
            first = await anext(stream)
            rest = await stream.aclose()
            total = sum_usage([first.usage, rest])
            assert (total.calls, total.prompt_tokens) == (4, 20)
            assert await stream.aclose() == rest != Usage()

    run(main)


def test_a_server_of_fixed_rate_takes_its_time_and_counts_its_cache() -> None:
    async def main() -> None:
        steady = Steady(slots=2, rate=1000.0, length=100, cache_tokens=400)
        server = Server(steady, models("m", owner="vllm", max_model_len=4096))
        loop = asyncio.get_running_loop()
        async with server.running():
            engine = await make_engine(EngineSpec.parse(f"m@{server.url}"))
            long = chat("a document " * 20, 4)
            began = loop.time()
            found = await all_of(engine.generate(long))
            # Two after two of 50 to 100 tokens, at 1 ms each.
            assert 0.1 <= loop.time() - began < 0.5
            assert sum(c.usage.generated_tokens for c in found) == steady.generated_tokens
            assert steady.cached_tokens == 0
            await all_of(engine.generate(long))
            prompt = steady.prompt_tokens // 2
            assert steady.cached_tokens == (prompt - 1) // 16 * 16
            await engine.aclose()

    run(main)
