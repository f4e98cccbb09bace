"""Votes: weights, ranks, filters, quorum and early stops, on worked examples."""

import itertools
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.results import events
from tests.support.scripts import boxed, says
from tests.support.solving import solve
from tests.support.verifiers import ByText
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import PipelineError
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.vote import Vote, vote
from tts.protocols import VerifierSpec
from tts.types import Budget, Score
from tts.voting.tally import rank_weights, top_share


def scored(text: str) -> float:
    """Return the number after "score"; a text without one cannot be scored."""
    if "score" not in text:
        raise ValueError("no score")
    return float(text.split("score")[1].split()[0])


def with_scores(*pairs: tuple[str, float | None]) -> ScriptedEngine:
    """Sample i gives the answer and carries the score of pair i."""

    def line(ask: Ask) -> Line:
        answer, value = pairs[ask.index]
        lead = "" if value is None else f"score {value} "
        return Line(rf"{lead}\boxed{{{answer}}}")

    return ScriptedEngine(line)


def weighted(n: int, **options: Any) -> Any:
    return sample(n=n) >> score(verifier="rule") >> vote(weights="rule", **options)


VERIFIERS = {"rule": ByText(scored)}


@pytest.mark.parametrize(
    ("scores", "power", "expected"),
    [
        ([], 0.5, []),
        ([0.1, 0.9, 0.5], 1.0, [1.0, 3.0, 2.0]),  # ranks 3, 1, 2 of 3
        ([0.1, 0.9, 0.5], 0.0, [1.0, 1.0, 1.0]),
        ([0.1, 0.9, 0.5], 2.0, [1.0, 9.0, 4.0]),
        ([0.5, 0.5], 1.0, [2.0, 1.0]),  # the earlier one ranks higher
    ],
)
def test_rank_weights(scores: list[float], power: float, expected: list[float]) -> None:
    assert rank_weights(scores, power) == expected


@pytest.mark.parametrize(
    ("scores", "share", "expected"),
    [
        ([], 0.5, []),
        ([1.0, 3.0, 2.0, 4.0], 0.5, [1, 3]),
        ([1.0, 3.0, 2.0, 4.0], 0.1, [3]),  # at least one
        ([1.0, 3.0, 2.0, 4.0], 1.0, [0, 1, 2, 3]),
        ([2.0, 2.0, 2.0, 1.0], 0.25, [0, 1, 2]),  # ties are kept
        ([float(i) for i in range(20)], 0.1, [18, 19]),
    ],
)
def test_top_share(scores: list[float], share: float, expected: list[int]) -> None:
    assert top_share(scores, share) == expected


def test_weights_decide() -> None:
    # 12: 0.9; 13: 0.2 + 0.3 = 0.5
    engine = with_scores(("13", 0.2), ("12", 0.9), ("13", 0.3))
    result = solve(engine, weighted(3), verifiers=VERIFIERS)
    assert result.answer is not None and result.answer.text == "12"
    support = result.answer.support
    assert (support.votes, support.voters) == (1, 3)
    assert support.weight == pytest.approx(0.9)
    assert support.probability == pytest.approx(0.9 / 1.4)


def test_equal_weights_are_a_plain_vote() -> None:
    engine = with_scores(("12", 0.5), ("13", 0.5), ("13", 0.5))
    result = solve(engine, weighted(3), verifiers=VERIFIERS)
    assert result.answer is not None and result.answer.text == "13"


def test_weights_of_zero_give_the_first_answer_no_confidence() -> None:
    engine = with_scores(("12", 0.0), ("13", 0.0))
    result = solve(engine, weighted(2), verifiers=VERIFIERS)
    assert result.answer is not None and result.answer.text == "12"
    assert result.answer.support.probability == 0.0


def test_a_weighted_vote_stops_when_settled() -> None:
    # After 0.9 + 0.9 the two that are left can add 2 at most; after a third, 2.7 > 1.
    engine = with_scores(("12", 0.9), ("12", 0.9), ("12", 0.9), ("13", 1.0))
    pipeline = (
        sample(n=4, batch=1) >> score(verifier="rule") >> vote(weights="rule", stop="settled")
    )
    result = solve(engine, pipeline, verifiers=VERIFIERS)
    assert result.answer is not None and result.answer.support.votes == 3


def test_weights_that_are_no_probabilities_are_refused() -> None:
    length = ByText(len)
    length.spec = VerifierSpec()
    with pytest.raises(PipelineError, match="are no probabilities"):
        solve(with_scores(("12", 0.9)), weighted(1), verifiers={"rule": length})


def test_summable_weights_are_refused_only_where_they_would_have_to_be_bounded() -> None:
    length = ByText(len)
    length.spec = VerifierSpec(summable=True)
    verifiers = {"rule": length}
    result = solve(with_scores(("12", 0.9)), weighted(1), verifiers=verifiers)
    assert result.answer is not None
    with pytest.raises(PipelineError, match="are no probabilities"):
        solve(with_scores(("12", 0.9)), weighted(1, stop="settled"), verifiers=verifiers)


def test_ranks_need_no_probabilities() -> None:
    length = ByText(lambda text: 100 * scored(text))
    length.spec = VerifierSpec()
    # Ranks of 90, 50, 40 weigh 3, 2, 1: 12 has 3, 13 has 3; the tie goes to the first sample.
    engine = with_scores(("13", 0.5), ("12", 0.9), ("13", 0.4))
    result = solve(engine, weighted(3, borda=1.0), verifiers={"rule": length})
    assert result.answer is not None and result.answer.text == "13"
    # 9 against 4 + 1
    engine = with_scores(("13", 0.5), ("12", 0.9), ("13", 0.4))
    result = solve(engine, weighted(3, borda=2.0), verifiers={"rule": length})
    assert result.answer is not None and result.answer.text == "12"


def test_only_the_best_vote() -> None:
    # The best half is 0.9 for 12 and 0.8 for 14; without the filter 13 has 1.3.
    pairs = (("13", 0.7), ("13", 0.6), ("12", 0.9), ("14", 0.8))
    result = solve(with_scores(*pairs), weighted(4, keep=0.5), verifiers=VERIFIERS)
    assert result.answer is not None and result.answer.text == "12"
    assert result.answer.support.voters == 2
    result = solve(with_scores(*pairs), weighted(4), verifiers=VERIFIERS)
    assert result.answer is not None and result.answer.text == "13"


def test_a_failed_score_does_not_vote_and_the_vote_says_how_many_did() -> None:
    pairs = (("12", 0.5), ("13", None), ("13", None))
    result = solve(with_scores(*pairs), weighted(3), verifiers=VERIFIERS)
    assert result.answer is not None and result.answer.text == "12"
    assert result.answer.support.voters == 1
    assert "no score" in result.reason
    (vote_event,) = events(result, "vote")
    assert (vote_event.fields["read"], vote_event.fields["voters"]) == (3, 1)
    result = solve(with_scores(*pairs), weighted(3, quorum=2), verifiers=VERIFIERS)
    assert result.answer is None
    assert "1 of 3 trajectories have an answer and a 'rule' score; the vote needs 2" in (
        result.reason
    )


def test_without_any_score_there_is_no_answer() -> None:
    result = solve(with_scores(("12", None)), weighted(1), verifiers=VERIFIERS)
    assert result.answer is None
    assert "none of 1 trajectories has an answer and a 'rule' score" in result.reason


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3, 4)))[::5])
@pytest.mark.parametrize("options", [{}, {"borda": 0.5}, {"keep": 0.5}])
def test_order_of_arrival_does_not_matter(order: tuple[int, ...], options: dict[str, Any]) -> None:
    pairs = (("13", 0.7), ("12", 0.3), ("12", 0.4), ("13", 0.7))

    def line(ask: Ask) -> Line:
        answer, value = pairs[ask.index]
        return Line(rf"score {value} \boxed{{{answer}}}", ticks=order[ask.index])

    result = solve(ScriptedEngine(line), weighted(4, **options), verifiers=VERIFIERS)
    first = solve(with_scores(*pairs), weighted(4, **options), verifiers=VERIFIERS)
    assert result.answer == first.answer


@pytest.mark.parametrize(
    ("answers", "options", "expected"),
    [
        # Beta: 1 - (1/2)^4 = 0.9375 after three, 0.96875 after four.
        ([12], {"stop_at": 0.95}, 4),
        ([12], {"stop_at": 0.95, "certainty": "dirichlet"}, 4),
        # (6, 1): 0.9648; (5, 1) had 0.9375
        ([12, 13, 12, 12, 12, 12, 12, 12], {"stop_at": 0.95}, 7),
        # Shares of 13 after two, three, four: 1/2, 2/3, 3/4
        ([12, 13, 13, 13], {"stop_at": 0.7, "certainty": "share", "min_votes": 2}, 4),
        ([12], {"stop_at": 0.95, "certainty": "share", "min_votes": 3}, 3),
        # The first window holds 12, 12, 13; the second 12 three times.
        ([12, 12, 13, 12, 12, 12], {"window": 3}, 6),
        ([12], {"window": 3}, 3),
        # A missing answer agrees with nothing.
        ([None, None, None, 12, 12, 12], {"window": 3}, 6),
        # 5 > 0 + 4
        ([12], {"stop": "settled"}, 5),
    ],
)
def test_a_vote_stops_after_exactly_as_many_samples(
    answers: list[int | None], options: dict[str, Any], expected: int
) -> None:
    engine = ScriptedEngine(
        lambda ask: says(*answers)(Ask(ask.prompt, ask.seed, len(engine.requests) - 1, ask.request))
    )
    result = solve(engine, sample(n=9, batch=1) >> vote(**options))
    assert result.usage.calls == expected
    assert result.answer is not None and result.answer.text in ("12", "13")


def test_a_window_is_drawn_in_parallel_and_nothing_is_wasted() -> None:
    engine = ScriptedEngine(says(12, 12, 13, 12))
    result = solve(engine, sample(n=16, batch=4) >> vote(stop_at=0.95))
    # (3, 1) after the first batch, (6, 2) after the second, (8, 2) within the third:
    # P(Bin(11, 1/2) <= 8) = 1 - (55 + 11 + 1) / 2048 = 0.967
    assert [request.n for request in engine.requests] == [4, 4, 4]
    assert result.answer is not None and result.answer.support.voters == 10
    assert result.usage.calls == 12


@pytest.mark.parametrize("scores", [1, 2])
def test_batches_wait_for_the_vote_through_scores(scores: int) -> None:
    engine = ScriptedEngine(says(12, 12, 13, 12))
    verifier = ByText(lambda text: 1.0)
    pipeline = sample(n=16, batch=4)
    for i in range(scores):
        pipeline >>= score(verifier=f"v{i}")
    ballot = vote(stop_at=0.95)
    solve(engine, pipeline >> ballot, verifiers={f"v{i}": verifier for i in range(scores)})
    assert [request.n for request in engine.requests] == [4, 4, 4]  # as without a score


def test_the_next_batch_has_the_seeds_that_one_request_would_have() -> None:
    seen: list[int] = []

    def line(ask: Ask) -> Line:
        seen.append(ask.seed)
        return Line(r"\boxed{1}")

    solve(ScriptedEngine(line), sample(n=5, batch=2) >> vote())
    apart, seen[:] = list(seen), []
    solve(ScriptedEngine(line), sample(n=5) >> vote())
    assert apart == seen


def test_batches_end_when_the_budget_does() -> None:
    result = solve(
        ScriptedEngine(says(12)), sample(n=40, batch=4) >> vote(), budget=Budget(calls=6)
    )
    assert result.usage.calls == 6
    assert result.answer is not None and result.answer.support.votes == 6
    assert "the budget of 6calls is spent" in result.reason


def test_the_greedy_sample_is_the_first() -> None:
    engine = ScriptedEngine(says(12))
    result = solve(engine, sample(n=3, greedy_first=True) >> vote())
    assert [(r.n, r.sampling.temperature) for r in engine.requests] == [(1, 0.0), (2, 0.8)]
    indices = sorted(t.origin.index for t in result.samples)
    assert indices == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"borda": 1.0}, "name it in weights"),
        ({"keep": 0.5}, "name it in weights"),
        ({"weights": "prm", "keep": 0.5, "stop": "settled"}, "cannot stop early"),
        ({"weights": "prm", "borda": 1.0, "window": 3}, "cannot stop early"),
        ({"weights": "prm", "stop_at": 0.9}, "stop_at counts votes"),
        ({"quorum": 0}, "greater than or equal to 1"),
        ({"stop_at": 1.0}, "less than 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Vote(**options)


def test_a_verifier_that_miscounts_is_data() -> None:
    class Miscounting(ByText):
        async def score(self, context: Any, trajectories: Any) -> list[Score]:
            return []

    verifiers = {"rule": Miscounting(scored)}
    result = solve(with_scores(("12", 0.5)), weighted(1), verifiers=verifiers)
    assert "0 scores for 1 trajectories" in result.reason


def test_only_the_first_to_end_vote_and_the_rest_is_cancelled() -> None:
    def line(ask: Ask) -> Line:
        return Line(boxed(13), hangs=True) if ask.index % 2 else Line(boxed(12))

    result = solve(line, sample(n=6) >> vote(first=3))
    assert result.answer is not None and result.answer.support.votes == 3
    assert [stop.rule for stop in result.facts.stopped_by] == ["first 3"]
    assert result.facts.aborted == 3 and result.facts.is_cut
    whole = solve(lambda ask: Line(boxed(12)), "first_finishers")
    assert whole.answer is not None and whole.answer.support.votes == 16
