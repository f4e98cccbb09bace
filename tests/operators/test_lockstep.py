"""Trajectories drawn in step; the scripted engine's tokens are characters."""

from tests.support.results import prompts_of
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.fuse import fuse
from tts.operators.lockstep import lockstep
from tts.operators.vote import vote
from tts.types import Budget, Result, Sampling


def paths(*said: str) -> ScriptedEngine:
    """Path i says text i, which begins with i; whoever is shown attempts says 9."""

    def line(ask: Ask) -> Line:
        if "Attempt" in ask.prompt:
            return Line(boxed(9))
        so_far = ask.prompt.rpartition("<assistant>")[2].removeprefix("<think>\n")
        number = int(so_far[0]) if so_far else ask.index
        return Line(said[number].removeprefix(so_far))

    return ScriptedEngine(line)


def texts(result: Result) -> list[str]:
    return [t.text for t in result.trajectories if t.origin.node == "lockstep"]


def ends(result: Result) -> list[str | None]:
    return [t.finish_reason for t in result.trajectories if t.origin.node == "lockstep"]


def test_the_rest_is_cut_when_the_first_has_ended() -> None:
    engine = paths("0" + "a" * 50, "1" + "b" * 17, "2" + "c" * 50)
    result = solve(engine, lockstep(n=3, slice_tokens=5) >> fuse())
    # Path 1 has 18 characters and ends within its fourth slice of 5; the others have 20 by then.
    assert texts(result) == ["0" + "a" * 19, "1" + "b" * 17, "2" + "c" * 19]
    assert ends(result) == ["length", "stop", "length"]
    assert result.usage.generated_tokens == 20 + 18 + 20 + len(boxed(9))
    assert result.usage.wasted_tokens == 0
    assert engine.requests[0].n == 3 and result.usage.calls == 3 * 4 + 1


def test_all_may_be_waited_for() -> None:
    said = [f"{i}{'x' * 7 * i}{boxed(i)}" for i in range(3)]
    result = solve(paths(*said), lockstep(n=3, finishers=3, slice_tokens=4) >> vote())
    assert texts(result) == said
    assert result.answer is not None and result.answer.support.votes == 1


def test_slices_continue_by_token_ids() -> None:
    engine = paths("0" + "a" * 11)
    solve(engine, lockstep(n=1, slice_tokens=4))
    first, *others = engine.requests
    assert first.prompt.messages and all(request.prompt.token_ids for request in others)
    assert [r.sampling.max_tokens for r in engine.requests] == [4, 4, 4]
    assert len({request.seed for request in engine.requests}) == 3


def test_a_thought_may_be_where_a_path_ends_and_what_is_shown() -> None:
    engine = paths("0 long " + "a" * 50 + "</think>", "1 short</think>\n\nignored")
    result = solve(
        engine,
        lockstep(n=2, ends="thought", mode="thinking", slice_tokens=5) >> fuse(shown="whole"),
    )
    # The mark of the second ends with its 15th character, in the third slice.
    assert texts(result) == ["0 long aaaaaaaa", "1 short"]
    assert "Attempt 1:\n0 long aaaaaaaa\n\nAttempt 2:\n1 short\n" in prompts_of(engine)[-1]


def test_neither_limits_nor_budgets_are_passed() -> None:
    engine = paths("0" + "a" * 50, "1" + "b" * 50)
    result = solve(engine, lockstep(n=2, slice_tokens=8), sampling=Sampling(max_tokens=12))
    assert [len(text) for text in texts(result)] == [12, 12]
    result = solve(paths("0" + "a" * 50), lockstep(n=1, slice_tokens=8), budget=Budget(calls=2))
    assert [len(text) for text in texts(result)] == [16]
    assert ends(result) == ["length"]


def test_a_path_that_fails_is_no_finisher() -> None:
    def line(ask: Ask) -> Line:
        if ask.request.n == 2:
            return Line("", error="broken") if ask.index == 0 else Line("yyyyyyyy")
        return Line("yyyy")

    result = solve(ScriptedEngine(line), lockstep(n=2, slice_tokens=4))
    assert ends(result) == ["error", "stop"]
    assert texts(result) == ["", "yyyyyyyy"]
