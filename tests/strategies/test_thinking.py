"""Budget forcing, Dynasor, TrimR: worked by hand."""

import pytest

from tests.support.results import noted
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts import prompts
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.strategies import budget_forcing, dynasor, trimr

OPEN = "<assistant><think>\n"


def thinker(*pieces: str) -> ScriptedEngine:
    """Says piece i of the thought after i waits, and then the answer 12."""

    def line(ask: Ask) -> Line:
        _, _, so_far = ask.prompt.partition(OPEN)
        if "</think>" in so_far:
            return Line(r"\boxed{12}")
        return Line(pieces[min(so_far.count("Wait"), len(pieces) - 1)])

    return ScriptedEngine(line)


def test_the_default_ignores_the_end_once() -> None:
    engine = thinker("first\n</think>", ", again\n</think>")
    result = solve(engine, budget_forcing())
    text = result.trajectories[0].text
    assert text == "first\nWait, again\n</think>\n\nFinal Answer: \\boxed{12}"
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.calls == 3


@pytest.mark.parametrize("limit", [5, 17, 40])
def test_thinking_stays_within_its_limit(limit: int) -> None:
    pipeline = budget_forcing(waits=6, max_thinking=limit)
    result = solve(thinker("x" * 9 + "</think>"), pipeline)
    said = result.trajectories[0].text.partition("\n</think>")[0].replace("Wait", "")
    assert len(said) <= limit
    assert (result.usage.generated_tokens or 0) <= limit + len(r"\boxed{12}")


def test_no_force_is_normal_generation() -> None:
    pipeline = budget_forcing(waits=0, lead="")
    result = solve(thinker("all of it\n</think>"), pipeline)
    assert result.trajectories[0].text == "all of it\n</think>\n\n\\boxed{12}"


def test_several_thoughts_vote() -> None:
    pipeline = budget_forcing(n=3, waits=0)
    result = solve(thinker("hm\n</think>"), pipeline)
    assert result.answer is not None and result.answer.support.votes == 3


def settling(*probes: str) -> ScriptedEngine:
    """Thinks 600 different paragraphs; probe i is answered by answer i, then by the last."""
    thought = "".join(f"p{number:03d}\n\n" for number in range(600))
    asked = iter(range(1_000))

    def line(ask: Ask) -> Line:
        _, _, so_far = ask.prompt.partition(OPEN)
        if "</think>" in so_far:
            return Line(boxed(99))
        if so_far.endswith(prompts.PROBE):
            return Line(probes[min(next(asked), len(probes) - 1)] + "}")
        return Line(thought[len(so_far) :])

    return ScriptedEngine(line)


def test_dynasor_stops_after_three_equal_probes() -> None:
    result = solve(settling("1", "2", "2", "2"), "dynasor")
    assert [e["answer"] for e in noted(result, "probe")] == ["1", "2", "2", "2"]
    thought = result.trajectories[0].text.partition("\n</think>")[0]
    assert len(thought) == 4 * 64
    # Four slices, four probes of two tokens, and the answer.
    assert result.usage.generated_tokens == 4 * 64 + 4 * 2 + len(boxed(99))


def test_dynasor_never_stops_without_agreement() -> None:
    pipeline = dynasor(interval=20, max_thinking=100)
    result = solve(settling("1", "2", "1", "2", "1", "2"), pipeline)
    assert len(noted(result, "probe")) == 4  # after 20, 40, 60, 80; the limit is at 100
    assert not noted(result, "thought_end")


def test_probes_without_an_answer_do_not_agree() -> None:
    pipeline = dynasor(interval=20, max_thinking=100)
    result = solve(settling(""), pipeline)
    assert not noted(result, "thought_end")
    assert [e["answer"] for e in noted(result, "probe")] == [None] * 4


def test_a_forced_thought_may_end_early_too() -> None:
    pipeline = budget_forcing(waits=6, probe_every=20, agree=2, lead="")
    result = solve(settling("1", "2", "2"), pipeline)
    assert [e["answer"] for e in noted(result, "probe")] == ["1", "2", "2"]
    assert [(e["tokens"], e["waits"]) for e in noted(result, "think")] == [(3 * 20, 0)]


def test_trimr_counts_an_answer_that_stays() -> None:
    # 3 3 5 5 5: the counter goes 1, back to 0, 1, 2, and the thought ends.
    pipeline = trimr(interval=20)
    result = solve(settling("3", "3", "5", "5", "5", "7"), pipeline)
    assert [e["answer"] for e in noted(result, "probe")] == ["3", "3", "5", "5", "5"]
    assert noted(result, "thought_end")[0]["rule"] == "probe"


def test_trimr_ends_a_thought_that_repeats() -> None:
    def line(ask: Ask) -> Line:
        _, _, so_far = ask.prompt.partition(OPEN)
        if "</think>" in so_far:
            return Line(boxed(12))
        return Line("" if so_far.endswith(prompts.PROBE) else "over and over\n\n" * 20)

    result = solve(line, trimr(interval=45))
    assert noted(result, "thought_end")[0]["rule"] == "repeats"
    assert result.trajectories[0].text.count("over and over") == 3
