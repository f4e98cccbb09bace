"""The benchmark of several engines: its words, and small runs on mock servers."""

import asyncio

import pytest

from tts.bench.fleet import _say_actors, _say_servers
from tts.bench.fleet_run import Actors, Pace, SteadyEngine, measure_servers, solve


def run(name: str, engines: int) -> Pace:
    work = measure_servers(name, engines=engines, problems=8, rate=4000.0, length=60, seed=0)
    return asyncio.run(asyncio.wait_for(work, 60))


def test_several_servers_answer_all_and_every_token_is_counted() -> None:
    pace = run("self_consistency", 2)
    assert pace.problems == 8
    assert pace.tokens == pace.generated_tokens >= 8 * 16 * 30


@pytest.mark.slow
def test_searches_find_their_prefixes_again() -> None:
    alone, several = run("beam_search", 1), run("beam_search", 4)
    assert alone.problems == several.problems == 8
    assert several.cached_share >= 0.85 * alone.cached_share > 0.4


def test_an_engine_of_fixed_rate_gives_what_its_seeds_say() -> None:
    async def main() -> None:
        quick, slow = (SteadyEngine(slots=4, rate=rate, length=40) for rate in (1e6, 1e5))
        one, other = [await solve(engine, "self_consistency", 4, 0) for engine in (quick, slow)]
        assert len(one) == 4
        for name, result in one.items():
            assert [s.text for s in result.samples] == [s.text for s in other[name].samples]

    asyncio.run(main())


def test_figures_are_said_beside_those_of_one() -> None:
    paces = {"p": [Pace(1, 4.0, 1.0, 8, 400, 400, 0.5), Pace(4, 1.0, 1.0, 8, 400, 400, 0.48)]}
    assert list(_say_servers(paces)) == [
        "p, 1 server: 100 tokens/s, 50.0% of the prompts cached",
        "  4 servers: pace 4.00, 48.0% cached (96.0%), tokens counted 400 of 400",
    ]
    assert list(_say_actors(Actors((2.0, 7.6), 4, 0.0021, 0.004, 20, 0, 0, 31))) == [
        "4 actors to 1: pace 3.80",
        "overhead a problem: CPU 2.1 ms, wall 4.0 ms",
        "20 actors killed: 31 calls made again, 0 results lost or other than undisturbed, "
        "0 samples doubled",
    ]
