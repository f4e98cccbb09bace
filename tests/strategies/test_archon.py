"""Archon: critics whose words travel, rankers of lists, layers of fusers."""

import re

import pytest

from tests.support.results import noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts import prompts
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.fuse import fuse
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.parts import catalog
from tts.pipeline import Pipeline


def archon(**parameters: object) -> Pipeline:
    module = catalog.load("strategy", "archon")
    pipeline: Pipeline = module.build(module.Config(**parameters))
    return pipeline


def model(ranking: str = "Best: 2, 1", grade: str = "Grade: 7") -> ScriptedEngine:
    """Sample i answers i; the critic says of answer i "flaw i"; whoever fuses answers 99."""

    def line(ask: Ask) -> Line:
        (first, *_) = re.findall(r"boxed\{(\d+)\}", ask.prompt) or [""]
        if prompts.CRITICISE in ask.prompt:
            return Line(f"flaw {first}\n{grade}")
        if "grade it from 0 to 10" in ask.prompt:
            return Line(ranking)
        return Line(boxed(99 if "Attempt" in ask.prompt else ask.index))

    return ScriptedEngine(line)


@pytest.mark.parametrize(
    ("text", "grade", "words"),
    [
        ("Good idea, wrong sum.\nGrade: 3", 0.3, "Good idea, wrong sum."),
        ("Grade: 4\nNo:\n**Grade: 7.5**", 0.75, "Grade: 4\nNo:"),
        ("fine\nGrade: 11", None, "fine\nGrade: 11"),  # beyond the scale
        ("no grade here", None, "no grade here"),
    ],
)
def test_a_criticism_is_words_and_a_grade(text: str, grade: float | None, words: str) -> None:
    assert prompts.parse_grade(text) == (grade, words)


def test_the_criticism_travels_to_the_ranker_and_to_the_fuser() -> None:
    engine = model()
    ranker = "list_rank(critic=critic)"
    judged = sample(n=2) >> score(verifier="critic") >> score(verifier=ranker)
    result = solve(engine, judged >> fuse(critic="critic"))
    *_, ranking, fusing = prompts_of(engine)
    for shown in (ranking, fusing):
        for answer in (0, 1):
            assert f"{boxed(answer)}\n\nCriticism:\nflaw {answer}" in shown
    assert {t.scores["critic"].value for t in result.samples if t.scores} == {0.7}
    assert len(engine.requests) == 2 - 1 + 2 + 1 + 1  # both samples in one; critics, ranker, fuser


def test_the_ranker_asks_a_critic_that_has_not_spoken() -> None:
    engine = model()
    result = solve(engine, sample(n=2) >> score(verifier="list_rank(critic=critic)"))
    assert prompts_of(engine)[-1].count("Criticism:") == 2
    assert all("critic" not in t.scores for t in result.trajectories)


def test_ranks_become_scores_and_those_left_out_score_nothing() -> None:
    # Of three, the list names two: 1 - 0/3, 1 - 1/3, and 0 for the third.
    engine = model("checked\nBest: 3, 1, 3, 8")
    result = solve(engine, sample(n=3) >> score(verifier="list_rank"))
    values = {t.id: t.scores["list_rank"].value for t in result.trajectories}
    (noted_order,) = noted(result, "list_rank")
    first, second = noted_order["ranked"]
    assert [values.pop(first), values.pop(second)] == [1.0, pytest.approx(2 / 3)]
    assert list(values.values()) == [0.0]


def test_a_ranking_that_cannot_be_read_lets_the_first_go_on() -> None:
    pipeline = sample(n=3) >> score(verifier="list_rank") >> select(by="list_rank", keep=1)
    result = solve(model("all are fine"), pipeline)
    assert result.answer is not None and result.answer.text == "0"
    assert "a ranking of attempts could not be read" in result.reason


def test_equal_attempts_are_not_ranked() -> None:
    engine = ScriptedEngine(lambda ask: Line(boxed(5)))
    solve(engine, sample(n=4) >> score(verifier="list_rank"))
    assert len(engine.requests) == 1


def test_words_without_a_grade_still_travel() -> None:
    engine = model(grade="")
    result = solve(engine, sample(n=2) >> score(verifier="critic") >> fuse(critic="critic"))
    assert "Criticism:\nflaw 0" in prompts_of(engine)[-1]
    assert "the criticism has no readable grade" in result.reason


@pytest.mark.parametrize(
    ("layers", "calls"),
    [
        (0, 4 + (4 + 1) + 1),  # generators; critics and a ranker; the last fuser
        (1, 4 + (4 + 1) + 3 + (3 + 0) + 1),  # fusers agree, so that nobody ranks them
    ],
)
def test_calls_are_the_sum_over_components(layers: int, calls: int) -> None:
    result = solve(model(), archon(n=4, layers=layers, fusers=3, keep=2))
    assert result.usage.calls == calls
    assert result.answer is not None and result.answer.text == "99"


def test_a_ranker_keeps_the_best_of_its_list_for_the_fuser() -> None:
    engine = model("Best: 2")
    result = solve(engine, archon(n=4, layers=0, keep=1))
    (order,) = noted(result, "list_rank")
    (best,) = order["ranked"]
    answer = {t.id: t.answer for t in result.samples}[best]
    assert re.findall(r"boxed\{(\d+)\}", prompts_of(engine)[-1]) == [answer]
