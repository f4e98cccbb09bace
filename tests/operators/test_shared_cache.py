"""Teams over one cache: what the engine is asked, and what becomes of what they write."""

from dataclasses import replace

import pytest

from tests.support.results import prompts_of
from tests.support.solving import SAMPLING, solve
from tts.engine.scripted import ALL, INFO, Ask, Line, ScriptedEngine
from tts.errors import CapabilityError
from tts.operators.shared_cache import shared_cache
from tts.runtime.log import GenerationLog
from tts.types import Budget, Sampling, Team

DONE = "**Alice [1]:** Hi, I'm Alice. So \\boxed{12}.\n\n"


def say(ask: Ask) -> Line:
    """The team boxes 12; asked for the answer alone, the model says 13."""
    return Line("13}" if ask.request.team is None else DONE)


def stray(ask: Ask) -> Line:
    """The team finds nothing."""
    return Line("13}" if ask.request.team is None else "**Alice [1]:** on and on")


def test_the_engine_is_asked_for_teams_with_the_published_words() -> None:
    engine = ScriptedEngine(say)
    result = solve(engine, shared_cache(n=3, workers=2, check_every=99))
    (request,) = engine.requests
    assert (request.n, request.sampling.max_tokens) == (3, 2 * SAMPLING.max_tokens)
    assert request.keep_free >= 16
    assert request.team == Team(
        names=("Alice", "Bob"),
        openings=(
            "**Alice [1]:** Hi, I'm Alice. Here's how we can",
            "**Bob [1]:** Hi, I'm Bob.",
        ),
        step="**{name} [{number}]:** ",
        others="\n\n### Work in progress (others)\n\n",
        between="<...>\n\n",
        own="<...>\n\n### Work in progress (own)\n\n",
        check="Quick check: am I doing redundant work? (yes/no): ",
        check_every=99,
        step_ends="sentence",
        answer_mark="\\boxed{",
        banned=("#", "</think>"),
    )
    assert [t.answer for t in result.trajectories] == ["12"] * 3
    assert "Alice and Bob" in prompts_of(engine)[0]


def test_an_answer_that_nobody_boxed_is_asked_for_after_all_that_was_written() -> None:
    engine = ScriptedEngine(stray)
    result = solve(engine, shared_cache(answer_tokens=8), sampling=Sampling(max_tokens=100))
    asked = prompts_of(engine)[1]
    assert asked.endswith("the final answer is \\boxed{")
    assert "**Alice [1]:** on and on\n\nWait, given the limited time" in asked
    (made,) = result.trajectories
    assert made.answer == "13" and made.text.endswith("\\boxed{13}")
    assert engine.requests[1].sampling.max_tokens == 8
    assert made.usage.generated_tokens == len("**Alice [1]:** on and on") + len("13}")


def test_tokens_that_are_written_at_once_count_once_in_the_chain() -> None:
    result = solve(ScriptedEngine(stray), shared_cache(workers=4))
    (figures,) = result.facts.graphs
    assert figures.sequential_tokens == 24 // 4 + len("13}")
    assert result.usage.sequential_tokens == figures.sequential_tokens
    assert figures.tasks == 4


def test_a_budget_of_tokens_one_after_the_other_lets_each_worker_draw_so_many() -> None:
    engine = ScriptedEngine(say)
    budget = Budget(sequential=40)
    result = solve(engine, shared_cache(workers=4, answer_tokens=8), budget=budget)
    (request,) = engine.requests
    assert request.sampling.max_tokens == 4 * 40
    assert result.usage.latency_tokens == -(-len(DONE) // 4)


def test_what_a_team_wrote_is_kept_and_is_not_what_one_writes_alone() -> None:
    log, engine = GenerationLog(), ScriptedEngine(say)
    first = solve(engine, shared_cache(), log=log)
    again = solve(engine, shared_cache(), log=log)
    assert len(engine.requests) == 1
    assert [t.text for t in again.trajectories] == [t.text for t in first.trajectories]
    solve(engine, shared_cache(check_every=9), log=log)
    assert len(engine.requests) == 2


def test_a_budget_without_room_for_the_answer_asks_for_no_team() -> None:
    engine = ScriptedEngine(say)
    result = solve(engine, shared_cache(), budget=Budget(tokens=5))
    assert (engine.requests, result.facts.failures) == ([], ())
    assert "is spent" in result.facts.shortfall


def test_a_budget_of_operations_holds_with_the_words_that_are_put_in() -> None:
    engine = ScriptedEngine(stray)
    assert INFO.parameters is not None
    plain = 2.0 * INFO.parameters  # operations of a token
    result = solve(
        engine,
        shared_cache(answer_tokens=8),
        sampling=Sampling(max_tokens=5_000),
        budget=Budget(flops=4_000 * plain),
    )
    request = engine.requests[0]
    team = request.team
    assert team is not None and team.counts_put
    words = sum(map(len, (team.others, team.own, *team.openings)))
    read = len(prompts_of(engine)[0]) + words
    assert read + request.sampling.max_tokens < 4_000
    assert result.usage.flops is not None and result.usage.flops <= 4_000 * plain


def test_several_teams_vote_by_the_preset() -> None:
    voted = solve(say, "hogwild", overrides=["n=3"])
    assert voted.answer is not None and voted.answer.support.votes == 3


def test_a_team_that_fails_says_why() -> None:
    result = solve(
        lambda ask: Line("**Alice", error="no memory left"), shared_cache(), sampling=SAMPLING
    )
    assert result.answer is None
    assert result.trajectories == () or result.trajectories[0].error == "no memory left"


def test_an_engine_without_teams_is_refused_with_another_way() -> None:
    engine = ScriptedEngine(say, capabilities=replace(ALL, teams=False))
    with pytest.raises(
        CapabilityError, match=r"needs workers over one cache, which .*hogwild_lagged"
    ):
        solve(engine, shared_cache())
