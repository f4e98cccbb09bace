"""Process and outcome reward models: reductions, what they read, and all that may be wrong."""

import pytest

from tests.support.solving import solve
from tts import prompts
from tts.engine.scripted import Line, ScriptedEngine, lines
from tts.errors import CapabilityError, ContextError, EngineError
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.types import ScoreRequest
from tts.verifiers._step_reduce import Reduction, reduce_steps

STEPS = "one\n\ntwo\n\nso \\boxed{12}"


def reward(*values: float) -> ScriptedEngine:
    """Says one thing; its reward model gives these values."""
    return ScriptedEngine(lambda ask: Line(STEPS), rewards=lambda request: values)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [("last", 0.1), ("min", 0.1), ("prod", 0.081), ("mean", 1.9 / 3)],  # .9, .9, .1
)
def test_reductions(reduction: Reduction, expected: float) -> None:
    assert reduce_steps([0.9, 0.9, 0.1], reduction) == pytest.approx(expected)
    name = f"prm(reduction={reduction})"
    result = solve(reward(0.9, 0.9, 0.1), sample() >> score(verifier=name))
    (scored,) = result.trajectories
    assert scored.scores[name].value == pytest.approx(expected)
    assert scored.scores[name].steps == (0.9, 0.9, 0.1)


def test_what_the_process_reward_model_reads() -> None:
    asked: list[ScoreRequest] = []

    def rewards(request: ScoreRequest) -> tuple[float, ...]:
        asked.append(request)
        return (0.5, 0.5, 0.5)

    solve(
        ScriptedEngine(lambda ask: Line(STEPS), rewards=rewards), sample() >> score(verifier="prm")
    )
    (request,) = asked
    tag = prompts.STEP_TAG
    assert request.step_tag == tag
    assert request.prompt.prefill == f"one{tag}two{tag}so \\boxed{{12}}{tag}"


@pytest.mark.parametrize("name", ["prm", "orm", "orm(reads=sequence)"])
@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<think>\n3 * 4 = 13? No.\n</think>\n\nso \\boxed{12}", "so \\boxed{12}"),
        ("<think>a</think>b<think>c</think>\n\n\\boxed{12}", "\\boxed{12}"),
        ("<think>so \\boxed{12}</think>\n", "<think>so \\boxed{12}</think>"),  # nothing follows
        ("<think>so \\boxed{12}", "<think>so \\boxed{12}"),  # cut off within
    ],
)
def test_reward_models_read_the_solution_and_not_the_thought(
    name: str, text: str, read: str
) -> None:
    asked: list[str] = []

    def rewards(request: ScoreRequest) -> tuple[float, ...]:
        asked.append(request.prompt.prefill.removesuffix(request.step_tag).strip())
        return (0.5,)

    solve(ScriptedEngine(lines(text), rewards=rewards), sample() >> score(verifier=name))
    assert asked == [read]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.5,), "gave 1 scores for 3 steps; its step tag may not be"),
        ((0.5, 2.0, 0.5), "outside [0, 1]"),
        ((0.5, float("nan"), 0.5), "outside [0, 1]"),
    ],
)
def test_scores_that_cannot_be_right_are_errors(values: tuple[float, ...], message: str) -> None:
    result = solve(reward(*values), sample(n=2) >> score(verifier="prm") >> select(by="prm"))
    assert result.answer is None
    assert message in result.reason


@pytest.mark.parametrize("name", ["prm", "orm"])
@pytest.mark.parametrize(
    "error",
    [
        ContextError("the prompt has 900 tokens: the model's context is 512 tokens"),
        CapabilityError("the model's tokenizer does not know '<extra_0>' as one token"),
    ],
)
def test_a_model_that_cannot_read_it_is_data_and_the_rest_goes_on(
    name: str, error: EngineError
) -> None:
    def rewards(request: ScoreRequest) -> tuple[float, ...]:
        if "two" in request.prompt.prefill:
            raise error
        return (0.5,)

    engine = ScriptedEngine(lines(STEPS, "so \\boxed{12}"), rewards=rewards)
    result = solve(engine, sample(n=2) >> score(verifier=name) >> select(by=name))
    assert result.answer is not None and result.answer.text == "12"
    assert str(error) in result.reason


@pytest.mark.parametrize("text", ["", "\n\n", f"a step{prompts.STEP_TAG}"])
def test_a_trajectory_that_cannot_be_split_is_an_error(text: str) -> None:
    engine = ScriptedEngine(lambda ask: Line(text), rewards=lambda request: (0.5,))
    (scored,) = solve(engine, sample() >> score(verifier="prm")).trajectories
    assert scored.scores["prm"].error is not None


def test_outcome_is_the_last_value() -> None:
    (scored,) = solve(reward(0.9, 0.8, 0.3), sample() >> score(verifier="orm")).trajectories
    assert scored.scores["orm"].value == 0.3
    name = "orm(reads=sequence)"
    (scored,) = solve(reward(0.2, 0.8), sample() >> score(verifier=name)).trajectories
    assert scored.scores[name].value == 0.8  # of two classes the second
    (scored,) = solve(reward(3.5), sample() >> score(verifier=name)).trajectories
    assert "3.5, which is no probability" in str(scored.scores[name].error)
