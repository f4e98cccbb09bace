"""Budget forcing, Dynasor, early exit, TrimR: worked by hand."""

import re

import pytest

from tests.support.results import noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import solve
from tests.support.verifiers import ByText
from tts import prompts
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine
from tts.presets.load import load_preset
from tts.strategies import budget_forcing, dynasor, early_exit
from tts.types import Sampling

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
    assert text == "first\nWait, again\n</think>\n\nFinal Answer:\\boxed{12}"
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


def test_a_sure_value_ends_the_thought() -> None:
    # The verifier is sure of the last answer.
    value = ByText(lambda text: 0.9 if text.endswith("3}") else 0.5)
    pipeline = early_exit(verifier="value")
    result = solve(settling("1", "2", "2", "3"), pipeline, verifiers={"value": value})
    assert [e["value"] for e in noted(result, "probe")] == [0.5, 0.5, 0.5, 0.9]
    assert len(result.trajectories[0].text.partition("\n</think>")[0]) == 4 * 64
    never = early_exit(verifier="value", bar=1.0, interval=20, max_thinking=100)
    assert not noted(solve(settling("3"), never, verifiers={"value": value}), "thought_end")


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


@pytest.mark.parametrize("word", ["Wait", "hold on", "hmm"])
def test_dynasor_does_not_count_a_probe_that_hesitates(word: str) -> None:
    said = ("2", "2", "2} " + word, "2", "2", "2")
    result = solve(settling(*said), dynasor(interval=20))
    assert [e["answer"] for e in noted(result, "probe")] == ["2", "2", None, "2", "2", "2"]


def test_trimr_lets_another_engine_of_the_run_read() -> None:
    parts = [f"Wait, I get {answer} now".ljust(119, ".") + "\n" for answer in (3, 3, 5, 5, 5, 5, 7)]
    policy = ScriptedEngine(thinking("".join(parts)))
    verifier = ScriptedEngine(reads)
    pipeline = load_preset("trimr", ["verifier=small", "n=3"]).pipeline
    result = solve(
        policy, pipeline, engines={"small": verifier}, sampling=Sampling(max_tokens=2000)
    )
    assert [e["rule"] for e in noted(result, "thought_end")] == ["settled"] * 3
    assert result.answer is not None and result.answer.support.votes == 3
    assert all("I get 7" not in t.text for t in result.trajectories)
    # Of each thought five parts were read, four of them beside the one before.
    assert len(verifier.requests) == 3 * 9
    assert not any("Reply yes or no" in prompt for prompt in prompts_of(policy))


def thinking(thought: str) -> Script:
    """Script: goes on with the thought from where it is; says 12 once it is closed."""

    def line(ask: Ask) -> Line:
        _, _, so_far = ask.prompt.rpartition(OPEN)
        return Line(boxed(12) if "</think>" in so_far else thought[len(so_far) :])

    return line


def reads(ask: Ask) -> Line:
    """Script: says whether parts state answers, and the same one."""
    found = re.findall(r"I get (\d+)", ask.prompt)
    is_yes = found and (prompts.SAME_ANSWER not in ask.prompt or len(set(found)) == 1)
    return Line("yes" if is_yes else "no")
