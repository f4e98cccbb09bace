"""Thoughts stretched, cut and probed."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from tests.support.results import noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import PROBLEM, solve
from tests.support.verifiers import ByText
from tts import prompts
from tts.engine.scripted import Ask, Line, ScriptedEngine, render
from tts.operators.think import Think, agrees, most_repeats, probed_text, think
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.types import Budget, Sampling

SHORT = Sampling(max_tokens=200)
OPEN = "<assistant><think>\n"
PROBE = r"so \boxed{"


def thinker(*pieces: str, answer: str = boxed(12)) -> ScriptedEngine:
    """Thinks piece by piece: as many as there are waits; the answer follows the thought's end."""

    def line(ask: Ask) -> Line:
        _, _, so_far = ask.prompt.partition(OPEN)
        if "</think>" in so_far:
            return Line(answer)
        return Line(pieces[min(so_far.count("Wait"), len(pieces) - 1)])

    return ScriptedEngine(line)


def test_without_force_it_is_a_thought_and_an_answer() -> None:
    result = solve(thinker("hm\n</think>\n\nignored"), think())
    last = result.trajectories[0]
    assert last.text == f"hm\n</think>\n\n{boxed(12)}"
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.calls == 2
    assert last.usage.generated_tokens == len("hm\n</think>") + len(boxed(12))


@pytest.mark.parametrize("waits", [0, 1, 3])
def test_each_ignored_end_appends_the_word_once(waits: int) -> None:
    engine = thinker("one\n</think>", ", two\n</think>")
    result = solve(engine, think(waits=waits))
    text = result.trajectories[0].text
    assert text.count("Wait") == waits
    assert text.count("</think>") == 1
    assert text.startswith("one\n" + "Wait, two\n" * waits + "</think>")
    assert result.usage.calls == waits + 2


def test_the_thought_never_passes_its_limit() -> None:
    engine = thinker("x" * 50)
    result = solve(engine, think(max_thinking=20, answer_tokens=30))
    assert result.trajectories[0].text == "x" * 20 + "\n</think>\n\n" + boxed(12)
    assert [r.sampling.max_tokens for r in engine.requests] == [20, 30]


def test_waits_spend_the_same_budget() -> None:
    engine = thinker("y" * 10 + "</think>", "z" * 50)
    result = solve(engine, think(max_thinking=25, waits=5))
    # 10 and the tag's 8 characters leave 7 for what follows the word.
    assert [r.sampling.max_tokens for r in engine.requests[:2]] == [25, 7]
    assert result.trajectories[0].text.startswith("y" * 10 + "Wait" + "z" * 7 + "\n</think>")
    assert result.usage.calls == 3


def test_the_prefix_of_a_continued_thought_is_cached() -> None:
    engine = thinker("one two three\n</think>", " four\n</think>")
    result = solve(engine, think(waits=1))
    second = prompts_of(engine)[1]
    assert second.endswith(OPEN + "one two three\nWait")
    cached = [e["cached"] for e in noted(result, "completion")]
    assert cached[1] >= len(prompts_of(engine)[0]) - 4


def test_all_samples_share_one_request_and_keep_their_seeds() -> None:
    engine = thinker("hm\n</think>")
    result = solve(engine, think(n=3) >> vote())
    assert engine.requests[0].n == 3
    assert result.answer is not None and result.answer.support.votes == 3
    assert sorted(t.origin.index for t in result.trajectories[1:]) == [0, 1, 2]


def slices(answer_at: dict[int, str], *, thought: str) -> ScriptedEngine:
    """Goes on with the thought from where it is; probes are answered by its length so far."""

    def line(ask: Ask) -> Line:
        _, _, so_far = ask.prompt.partition(OPEN)
        if "</think>" in so_far:
            return Line(boxed(99))
        if so_far.endswith(PROBE):
            return Line(answer_at.get(len(so_far) - len(PROBE), "}"))
        return Line(thought[len(so_far) :] + "</think>")

    return ScriptedEngine(line)


def probing(agree: int, size: int = 10) -> Pipeline:
    return Pipeline.of(Think(slice_tokens=size, probe=PROBE, agree=agree))


def test_equal_probes_close_the_thought() -> None:
    engine = slices({10: "5}", 20: "7}", 30: "7}", 40: "7}"}, thought="t" * 100)
    result = solve(engine, probing(3))
    assert [e["answer"] for e in noted(result, "probe")] == ["5", "7", "7", "7"]
    assert result.trajectories[0].text == "t" * 40 + "\n</think>\n\n" + boxed(99)
    assert noted(result, "thought_end")[0]["rule"] == "probe"
    # Four slices of ten, four probes of two, and the answer.
    spent = 4 * 10 + 4 * 2 + len(boxed(99))
    assert result.usage.generated_tokens == spent
    assert result.trajectories[0].usage.generated_tokens == spent


@pytest.mark.parametrize(("probe", "ends_at"), [(PROBE, 30), (None, 20)])
def test_a_value_closes_the_thought(probe: str | None, ends_at: int) -> None:
    engine = slices({10: "5}", 20: "7}", 30: "9}"}, thought="t" * 100)
    value = ByText(lambda text: 0.95 if "9}" in text or text == "t" * 20 else 0.2)
    settings = Think(slice_tokens=10, probe=probe, verifier="value", bar=0.9)
    result = solve(engine, Pipeline.of(settings), verifiers={"value": value})
    assert result.trajectories[0].text == "t" * ends_at + "\n</think>\n\n" + boxed(99)
    assert noted(result, "thought_end")[0]["rule"] == "value"
    probes = 2 * ends_at // 10 if probe else 0
    assert result.usage.generated_tokens == ends_at + probes + len(boxed(99))


def test_a_verifier_that_fails_ends_no_thought() -> None:
    def broken(text: str) -> float:
        raise ValueError("broken")

    settings = Think(slice_tokens=10, verifier="value")
    engine = slices({}, thought="t" * 22)
    result = solve(engine, Pipeline.of(settings), verifiers={"value": ByText(broken)})
    assert result.trajectories[0].text.startswith("t" * 22 + "\n</think>")
    assert "broken" in str(result.facts.warnings)


def test_slices_continue_by_token_ids() -> None:
    engine = slices({}, thought="abcdefghij" * 2)
    result = solve(engine, probing(3))
    assert result.trajectories[0].text.startswith("abcdefghij" * 2 + "\n</think>")
    kinds = [bool(r.prompt.token_ids) for r in engine.requests]
    assert kinds == [False, False, True, False, True, False]


def test_an_end_that_lies_across_two_slices_is_one() -> None:
    whole = "hm, it is\n</think>\n\nand this is no thought"

    def line(ask: Ask) -> Line:
        _, _, so_far = ask.prompt.partition(OPEN)
        return Line(boxed(12) if "</think>" in so_far else whole[len(so_far) :])

    pipeline = Pipeline.of(Think(slice_tokens=13, max_repeats=3))
    result = solve(ScriptedEngine(line), pipeline)
    assert result.trajectories[0].text == f"hm, it is\n</think>\n\n{boxed(12)}"


def test_a_thought_that_repeats_itself_is_closed() -> None:
    engine = slices({}, thought="again\n\n" * 20)
    pipeline = Pipeline.of(Think(slice_tokens=7, max_repeats=3))
    result = solve(engine, pipeline)
    assert result.trajectories[0].text.startswith("again\n\n" * 3 + "</think>")
    assert noted(result, "thought_end")[0]["rule"] == "repeats"


def test_a_failed_slice_is_a_failed_trajectory() -> None:
    result = solve(lambda ask: Line("hm", error="broken" if ask.index else None), think(n=2))
    assert [t.finish_reason for t in result.trajectories].count("error") == 1
    assert "broken" in result.reason


@pytest.mark.parametrize(
    ("tokens", "thought"),
    [
        (400, 200),  # all that a thought may have; 128 stay free for the answer
        (300, 300 - 128),
        (200, 100),  # not enough for 128 and as many: halves
        (160, 80),
    ],
)
def test_a_thought_leaves_room_for_its_answer(tokens: int, thought: int) -> None:
    result = solve(thinker("x" * 500), think(), budget=Budget(tokens=tokens), sampling=SHORT)
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.generated_tokens == thought + len(boxed(12))


def with_context(engine: ScriptedEngine, tokens: int) -> ScriptedEngine:
    """Give the engine a context of so many tokens after the prompt for a thought."""
    prompt = len(render(prompts.solve_thinking(PROBLEM)))
    engine.info = replace(engine.info, context_tokens=prompt + tokens)
    return engine


# A thought's end takes 12 tokens at most, so that 42 of the context stay free.
@pytest.mark.parametrize(("tokens", "thought"), [(300, 200), (242, 200), (142, 100), (43, 1)])
def test_a_thought_leaves_room_in_the_context_for_its_answer(tokens: int, thought: int) -> None:
    engine = with_context(thinker("x" * 500), tokens)
    result = solve(engine, think(answer_tokens=30), sampling=SHORT)
    assert result.trajectories[0].text == "x" * thought + "\n</think>\n\n" + boxed(12)
    assert result.answer is not None and result.answer.text == "12"


def test_slices_and_waits_leave_that_room_too() -> None:
    engine = with_context(slices({}, thought="t" * 500), 42 + 25)
    result = solve(engine, Pipeline.of(Think(slice_tokens=10, max_repeats=9, answer_tokens=30)))
    assert result.trajectories[0].text == "t" * 25 + "\n</think>\n\n" + boxed(99)
    engine = with_context(thinker("y" * 10 + "</think>", "z" * 500), 42 + 40)
    result = solve(engine, think(waits=5, answer_tokens=30))
    # Ten, the word, and what is left of forty; the tag that was dropped stands nowhere.
    assert result.trajectories[0].text == f"{'y' * 10}Wait{'z' * 26}\n</think>\n\n{boxed(12)}"


def test_a_context_without_room_for_thought_and_answer_draws_nothing() -> None:
    engine = with_context(thinker("x" * 500), 42)
    result = solve(engine, think(answer_tokens=30))
    assert result.usage.calls == 0
    assert "42 are kept for what follows" in result.reason


def test_thoughts_share_what_the_answers_leave() -> None:
    # 4 answers of 30 keep 120 of 280, so that each thought has 40; then 280 - 160 are free.
    engine = thinker("x" * 500)
    pipeline = think(n=4, answer_tokens=30)
    result = solve(engine, pipeline, budget=Budget(tokens=280))
    assert [r.sampling.max_tokens for r in engine.requests] == [40, 30, 30, 30, 30]
    assert len([t for t in result.trajectories if t.answer == "12"]) == 4


def test_a_longer_thought_does_not_take_the_room_of_a_finished_one() -> None:
    # Sample 0 ends at once; sample 1 thinks on by slices while the answer of 0 is drawn.
    def line(ask: Ask) -> Line:
        _, _, so_far = ask.prompt.partition(OPEN)
        if "</think>" in so_far:
            return Line(boxed(12))
        if not so_far and ask.index == 0:
            return Line("hm</think>")
        return Line("x" * (500 - len(so_far)))

    pipeline = Pipeline.of(Think(n=2, slice_tokens=10, max_repeats=9, answer_tokens=30))
    result = solve(line, pipeline, budget=Budget(tokens=150))
    # 10 for the first; the second's thought has 150 - 10 - 19 and the 30 of its answer to leave.
    assert [t.answer for t in result.trajectories] == ["12", "12"]
    assert (result.usage.generated_tokens or 0) <= 150


def test_where_calls_are_few_fewer_are_drawn_and_all_are_answered() -> None:
    engine = thinker("hm</think>")
    result = solve(engine, think(n=4), budget=Budget(calls=5))
    assert [t.answer for t in result.trajectories] == ["12", "12"]
    assert result.usage.calls == 4
    nothing = solve(engine, think(n=4), budget=Budget(calls=1))
    assert nothing.usage.calls == 0 and "the budget of 1calls is spent" in nothing.reason


@pytest.mark.parametrize(
    ("probed", "count", "expected"),
    [
        ([1, 1, 1], 3, True),
        ([1, 1], 3, False),
        ([0, 1, 1], 2, True),
        ([1, 0, 1], 2, False),
        ([None, None, None], 3, False),
    ],
)
def test_agreement(probed: list[int | None], count: int, expected: bool) -> None:
    assert agrees(probed, count) is expected


def test_repeats_are_counted_over_whole_paragraphs() -> None:
    assert most_repeats("a\n\nb\n\na\n\na") == 2  # the last one is not finished
    assert most_repeats("") == 0


def test_looks_need_slices() -> None:
    with pytest.raises(ValidationError, match="slice_tokens goes with"):
        Think(slice_tokens=5)
    with pytest.raises(ValidationError, match="slice_tokens goes with"):
        Think(probe="?")


@pytest.mark.parametrize(
    ("words", "reply", "expected"),
    [
        (r"so \boxed{", r"\frac{1}{2}} and", r"\boxed{\frac{1}{2}}"),
        (r"so \boxed{", "12", ""),
        (r"so \boxed{", "}", ""),
        ("</think>\n\nIt is ", "12.", "\n\nIt is 12."),
    ],
)
def test_a_probe_counts_when_its_box_is_closed(words: str, reply: str, expected: str) -> None:
    assert probed_text(words, reply) == expected
