"""Thoughts that a verifier reads beside them: parts, questions, rules, worked by hand."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tests.support.results import noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts import prompts
from tts.engine.scripted import ALL, Ask, Line, ScriptedEngine
from tts.operators.trim import Trim, last_sentences, trim, whole_parts
from tts.pipeline import Pipeline
from tts.types import Budget, Result

OPEN = "<assistant><think>\n"
SETTINGS: dict[str, Any] = {
    "verifier": "reader",
    "interval": 100,
    "shortest": 50,
    "max_thinking": 2000,
}
WORDS = ("Wait", "But")


def part(answer: int | None, number: int) -> str:
    """Return one part of a thought, a hundred characters long."""
    said = "Wait, so far nothing" if answer is None else f"Wait, I get {answer}"
    return f"{said} {number:03d}".ljust(99, ".") + "\n"


def thinker(*answers: int | None, then: str = "") -> ScriptedEngine:
    """Thinks a part for each answer, then `then`; says 99 once its thought is closed."""
    thought = "".join(part(answer, number) for number, answer in enumerate(answers)) + then

    def line(ask: Ask) -> Line:
        _, _, so_far = ask.prompt.rpartition(OPEN)
        return Line(boxed(99) if "</think>" in so_far else thought[len(so_far) :])

    return ScriptedEngine(line)


def reader() -> ScriptedEngine:
    """Answers each question by what the parts say."""

    def line(ask: Ask) -> Line:
        found = re.findall(r"I get (\d+)", ask.prompt)
        if prompts.SAME_ANSWER in ask.prompt:
            return Line("yes" if len(set(found)) == 1 else "no")
        return Line("yes" if found else "no")

    return ScriptedEngine(line)


def run(
    answers: Sequence[int | None], *, then: str = "", **parameters: Any
) -> tuple[Result, ScriptedEngine]:
    engines = {"reader": reader()}
    pipeline = Pipeline.of(Trim(**SETTINGS | parameters))
    result = solve(thinker(*answers, then=then), pipeline, engines=engines)
    return result, engines["reader"]


def rules(result: Result) -> list[str]:
    return [event["rule"] for event in noted(result, "thought_end")]


def test_a_counter_that_a_mismatch_resets() -> None:
    # 3 3 5 5 5: equal once, not equal, once, twice.
    result, verifier = run([3, 3, 5, 5, 5, 5, 5, 5])
    read = noted(result, "thought")
    assert [(e["states"], e["same"]) for e in read] == [
        (True, None),
        (True, True),
        (True, False),
        (True, True),
        (True, True),
    ]
    assert rules(result) == ["settled"]
    # A part is whole when the word after it and one more character are there: two of a hundred in
    # the slice that follows, so the fifth is read after the sixth slice.
    thought = result.trajectories[0].text.partition("</think>")[0]
    assert thought.startswith(
        "".join(part(a, i) for i, a in enumerate([3, 3, 5, 5, 5, 5])).rstrip()
    )
    assert thought.endswith("\n\n" + Trim().settled + "\n")
    assert result.answer is not None and result.answer.text == "99"
    assert len(verifier.requests) == 5 + 4


def test_parts_without_an_answer_neither_count_nor_reset() -> None:
    result, verifier = run([7, None, 7, None, 7, None, None])
    assert rules(result) == ["settled"]
    assert [e["same"] for e in noted(result, "thought")] == [None, None, True, None, True]
    assert len(verifier.requests) == 5 + 2


def test_without_answers_it_is_never_settled() -> None:
    result, _ = run([None] * 8, then="done</think>")
    assert rules(result) == []
    assert result.trajectories[0].text.startswith(part(None, 0))
    assert Trim().settled not in result.trajectories[0].text


def test_many_parts_late_in_the_budget_that_do_not_agree() -> None:
    # 1,000 tokens may be spent; more than half of them and more than four parts: after the sixth
    # slice, whose text holds five whole parts.
    result, _ = run([1, 2, 3, 4, 5, 6, 7, 8, 9], max_thinking=1000, parts=4)
    assert rules(result) == ["wanders"]
    assert Trim().unsettled in result.trajectories[0].text
    assert "I get 6" in result.trajectories[0].text and "I get 7" not in result.trajectories[0].text


def test_three_agreeing_answers_do_not_wander() -> None:
    answers = [1, 2, 2, 2, 2, 2, 2, 2, 2]
    result, _ = run(answers, max_thinking=900, parts=3, unchanged=9)
    assert rules(result) == []


def test_a_thought_that_repeats_itself() -> None:
    result, _ = run([], then="over and over\n\n" * 30, max_repeats=4)
    assert rules(result) == ["repeats"]
    assert Trim().unsettled in result.trajectories[0].text


def test_the_verifier_sees_the_last_sentences_and_decides_between_yes_and_no() -> None:
    result, verifier = run([4, 4, 4, 4, 4], sentences=1)
    first = verifier.requests[0]
    assert first.sampling.max_tokens == 1 and first.sampling.temperature == 0
    assert first.sampling.extra_body == {"allowed_token_ids": sorted(map(ord, "yYnN"))}
    assert first.prompt.thought == prompts.NO_THINKING
    asked = prompts_of(verifier)
    assert prompts.STATES_ANSWER in asked[0] and prompts.SAME_ANSWER in asked[2]
    assert "Part:\nWait, I get 4 000" in asked[0]
    assert result.usage.checking_tokens == len(verifier.requests)


def test_the_policy_reads_itself_where_no_engine_is_named() -> None:
    own, other = thinker(8, 8, 8, 8, 8, 8), reader()

    def line(ask: Ask) -> Line:
        return (other if "Reply yes" in ask.prompt else own).script(ask)

    result = solve(line, trim(interval=100, shortest=50, max_thinking=2000))
    assert rules(result) == ["settled"]


def test_decoding_goes_on_while_the_verifier_reads_and_what_was_in_vain_is_counted() -> None:
    result, _ = run([6, 6, 6, 6, 6, 6, 6])
    kept = result.trajectories[0].usage.generated_tokens
    # Three questions take a tick each; the slice in flight has that many tokens and is aborted.
    assert 0 < noted(result, "abort")[0]["tokens"] < 100
    assert (result.usage.generated_tokens or 0) > (kept or 0)
    assert (result.usage.wasted_tokens or 0) > 0


def test_a_verifier_that_takes_no_token_ids_is_refused() -> None:
    bare = ScriptedEngine(lambda ask: Line("yes"), capabilities=replace(ALL, token_ids=False))
    result = solve(thinker(1), trim(verifier="reader"), engines={"reader": bare})
    assert "the verifier 'reader' needs prompts as token ids" in result.reason
    assert result.usage.calls == 0


def test_questions_that_the_budget_refuses_leave_things_as_they_are() -> None:
    # Two parts are kept for thought and answer, so that one call is left for a slice.
    pipeline = trim(verifier="reader", interval=100, shortest=50, max_thinking=300)
    engines = {"reader": reader()}
    result = solve(thinker(*[5] * 9), pipeline, engines=engines, budget=Budget(calls=4))
    assert result.answer is not None and result.answer.text == "99"
    assert result.usage.calls <= 4


@pytest.mark.parametrize(
    ("text", "shortest", "parts"),
    [
        ("One. Wait, two. But three", 0, ["One. ", "Wait, two. "]),
        ("One. Wait, two. But", 0, ["One. "]),  # it may be a butterfly
        ("One. Button. Wait", 0, []),
        ("One, but two. I said Wait there", 0, []),  # within a sentence
        ("One.\nWait, no.\n\nBut yes. ", 0, ["One.\n", "Wait, no.\n\n"]),
        ("One. Wait. But three. But four", 10, ["One. Wait. ", "But three. "]),
        ("Wait, one. Wait, two", 0, ["Wait, one. "]),
        ("It is $x$ (so). Wait, it is [1]: Wait, 2", 0, ["It is $x$ (so). ", "Wait, it is [1]: "]),
    ],
)
def test_parts_that_are_whole(text: str, shortest: int, parts: list[str]) -> None:
    ends = [0, *whole_parts(text, WORDS, shortest)]
    assert [text[a:b] for a, b in pairwise(ends)] == parts
    grown = [0]
    for size in range(len(text) + 1):  # as it is written, character by character
        grown += whole_parts(text[:size], WORDS, shortest, grown[-1])
    assert grown == ends


def test_last_sentences() -> None:
    text = "One. Two!\nThree is 3.5 metres? Four"
    assert last_sentences(text, 1) == "Four"
    assert last_sentences(text, 2) == "Three is 3.5 metres? Four"
    assert last_sentences(text, 3) == "Two!\nThree is 3.5 metres? Four"
    assert last_sentences(text, 9) == text


def test_a_vocabulary_that_does_not_tell_yes_from_no_is_said() -> None:
    class Blind(ScriptedEngine):
        async def tokenize(self, text: str) -> tuple[int, ...]:
            return (1,)

    result = solve(
        thinker(1, 1, 1, 1),
        Pipeline.of(Trim(**SETTINGS)),
        engines={"reader": Blind(lambda ask: Line("yes"))},
    )
    assert "does not tell yes from no by their first token" in result.reason
