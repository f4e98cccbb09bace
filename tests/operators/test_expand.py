"""One step at a time: where steps end, and what a continuation carries."""

import pytest

from tests.support.searching import digits, search
from tts.engine.scripted import Ask, Line, ScriptedEngine, decode, encode
from tts.operators.expand import Expand, expand
from tts.operators.score import score
from tts.operators.select import select
from tts.pipeline import Pipeline
from tts.types import Result, Sampling


def run(engine: ScriptedEngine, pipeline: Pipeline, *, max_tokens: int = 200) -> Result:
    return search(engine, pipeline, sampling=Sampling(max_tokens=max_tokens))


def test_a_step_ends_with_its_separator_and_is_continued_by_its_ids() -> None:
    engine = ScriptedEngine(digits(depth=1))
    result = run(engine, expand(start=True) >> expand())
    (solution,) = [t for t in result.trajectories if t.finish_reason == "stop"]
    first, second = solution.text.split("\n\n")
    assert second == rf"so \boxed{{{first[1]}}}"
    assert decode(solution.token_ids) == solution.text
    assert [(step.start, step.end, step.text) for step in solution.steps] == [
        (0, 4, first),  # "d5" and the separator's two tokens
        (4, 4 + len(second), second),
    ]
    prompt = engine.requests[1].prompt
    assert prompt.token_ids == solution.prompt_token_ids + encode(f"{first}\n\n")
    assert solution.answer == first[1]


def test_children_of_one_parent_are_one_request_and_hit_its_blocks() -> None:
    engine = ScriptedEngine(digits(depth=2))
    result = run(engine, expand(n=2, start=True) >> expand(n=3))
    assert [request.n for request in engine.requests] == [2, 3, 3]
    assert len({t.id for t in result.trajectories}) == len(result.trajectories)
    assert sorted(t.origin.index for t in result.trajectories if len(t.steps) == 2) == [*range(6)]
    for child in (t for t in result.trajectories if len(t.steps) == 2):
        assert child.usage.prompt_tokens is not None
        # Blocks of 4; of the last one at least a token is computed again.
        assert child.usage.cached_tokens == (child.usage.prompt_tokens - 1) // 4 * 4


def test_finished_trajectories_pass_through() -> None:
    result = run(ScriptedEngine(digits(depth=0)), expand(n=2, start=True) >> expand(n=3))
    assert result.usage.calls == 2
    assert len(result.trajectories) == 2


def test_it_composes_with_scores() -> None:
    pipeline = expand(n=4, start=True) >> score(verifier="prm")
    for _ in range(3):
        pipeline = pipeline >> expand()
    result = run(
        ScriptedEngine(digits(depth=2)), pipeline >> score(verifier="prm") >> select(by="prm")
    )
    assert result.answer is not None


def test_numbered_steps_end_before_the_next_number() -> None:
    def say(ask: Ask) -> Line:
        return Line(
            "Step 1: a. Step 2: b. Step 3: c." if "Step" not in ask.prompt else " b. Step 3"
        )

    engine = ScriptedEngine(say)
    result = run(engine, expand(start=True, separator="Step {}") >> expand(separator="Step {}"))
    (last,) = [t for t in result.trajectories if len(t.steps) == 2]
    assert last.text == "Step 1: a. Step 2 b. Step 3"
    assert [request.sampling.stop for request in engine.requests] == [("Step 2",), ("Step 3",)]


def test_chunks_of_tokens_need_no_separator() -> None:
    text = "one long thought without any blank line"
    engine = ScriptedEngine(lambda ask: Line(text[len(ask.prompt.partition("<assistant>")[2]) :]))
    chunk = Pipeline.of(Expand(separator=None, step_tokens=10))
    result = run(engine, Pipeline.of(Expand(separator=None, step_tokens=10, start=True)) >> chunk)
    (last,) = [t for t in result.trajectories if len(t.steps) == 2]
    assert last.text == text[:20]
    assert last.finish_reason is None


@pytest.mark.parametrize(("max_tokens", "finish"), [(30, None), (8, "length")])
def test_a_step_without_end_is_cut_and_the_whole_is_limited(
    max_tokens: int, finish: str | None
) -> None:
    engine = ScriptedEngine(lambda ask: Line("x" * 1_000))
    result = run(engine, Pipeline.of(Expand(start=True, step_tokens=8)), max_tokens=max_tokens)
    (only,) = result.trajectories
    assert (only.text, only.finish_reason) == ("x" * 8, finish)


def test_a_boxed_answer_ends_the_solution_though_the_model_goes_on() -> None:
    engine = ScriptedEngine(lambda ask: Line("it is \\boxed{7}\n\nand so on"))
    (only,) = run(engine, expand(start=True)).trajectories
    assert (only.finish_reason, only.answer) == ("stop", "7")
    on = Pipeline.of(Expand(start=True, ends_at_answer=False))
    (partial,) = run(ScriptedEngine(engine.script), on).trajectories
    assert (partial.finish_reason, partial.answer) == (None, None)


def test_the_presets_own_stop_strings_end_the_solution() -> None:
    engine = ScriptedEngine(lambda ask: Line("the end END more"))
    (only,) = search(
        engine, expand(start=True), sampling=Sampling(max_tokens=50, stop=("END",))
    ).trajectories
    assert (only.finish_reason, only.text) == ("stop", "the end ")


def test_logprobs_are_joined() -> None:
    sampling = Sampling(max_tokens=50, logprobs=1)
    result = search(ScriptedEngine(digits(1)), expand(start=True) >> expand(), sampling=sampling)
    (last,) = [t for t in result.trajectories if t.finish_reason is not None]
    assert last.logprobs == (-0.5,) * len(last.token_ids)
    assert last.steps[0].logprob == -2.0  # four tokens
    assert last.confidences is not None and last.steps[0].confidence == 1.0
