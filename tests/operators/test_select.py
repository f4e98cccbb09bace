"""Selection by score: ties, failures, quorum, and who competes."""

from tests.support.scripts import says
from tests.support.solving import solve
from tests.support.values import trajectory
from tests.support.verifiers import ByText
from tts.engine.scripted import ScriptedEngine
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import rank_by_score, select
from tts.types import Score


def last_digits(text: str) -> float:
    return float(text.rpartition("{")[2].rstrip("}")) / 100


def test_ranks_by_score_and_keeps_the_earlier_of_equals() -> None:
    attempts = [
        trajectory(0, "1", score=0.5),
        trajectory(1, None, score=0.9),  # no answer
        trajectory(2, "2", score=0.7),
        trajectory(3, "3").with_score("prm", Score(None, error="broken")),
        trajectory(4, "4", score=0.7),
    ]
    assert [t.origin.index for t in rank_by_score(attempts, "prm")] == [2, 4, 0]
    assert [t.origin.index for t in rank_by_score(attempts[::-1], "prm")] == [2, 4, 0]


def test_too_few_scores_give_no_answer_and_say_so() -> None:
    def rule(text: str) -> float:
        if "13" in text:
            raise ValueError("cannot read it")
        return 1.0

    engine = ScriptedEngine(says(12, 13, 13))
    pipeline = sample(n=3) >> score(verifier="rule") >> select(by="rule", quorum=2)
    result = solve(engine, pipeline, verifiers={"rule": ByText(rule)})
    assert result.answer is None
    assert "1 of 3 trajectories have an answer and a 'rule' score; the choice needs 2" in (
        result.reason
    )


def test_only_one_node_competes() -> None:
    engine = ScriptedEngine(says(12, 99))
    both = sample(n=1).named("candidates") | sample(n=2).named("evidence")
    best = both >> score(verifier="rule") >> select(by="rule", among="candidates")
    result = solve(engine, best, verifiers={"rule": ByText(last_digits)})
    assert result.answer is not None and result.answer.text == "12"
    free = both >> score(verifier="rule") >> select(by="rule")
    result = solve(ScriptedEngine(says(12, 99)), free, verifiers={"rule": ByText(last_digits)})
    assert result.answer is not None and result.answer.text == "99"
