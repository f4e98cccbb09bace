"""Values: sums of usage, budgets as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.errors import BudgetError
from tts.types import Budget, Message, Prompt, Score, Usage, sum_usage


def test_usage_adds_field_by_field_and_takes_the_larger_peak() -> None:
    first = Usage(prompt_tokens=3, generated_tokens=2, calls=1, peak_kv_blocks=4, seconds=1.0)
    second = Usage(prompt_tokens=5, generated_tokens=1, calls=2, peak_kv_blocks=3, seconds=0.5)
    total = sum_usage([first, second])
    assert (total.prompt_tokens, total.generated_tokens, total.calls) == (8, 3, 3)
    assert (total.peak_kv_blocks, total.seconds) == (4, 1.5)


def test_unknown_parts_make_the_sum_unknown() -> None:
    assert (
        sum_usage([Usage(generated_tokens=3), Usage(generated_tokens=None)]).generated_tokens
        is None
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8k", Budget(tokens=8_000)),
        ("4096", Budget(tokens=4_096)),
        ("30s", Budget(seconds=30.0)),
        ("2e15flops", Budget(flops=2e15)),
        ("2e15eflops", Budget(eflops=2e15)),
        ("4ksequential,0.05usd", Budget(sequential=4_000, usd=0.05)),
        ("$0.05", Budget(usd=0.05)),
        ("64calls", Budget(calls=64)),
        ("1.5M, 30s ,64calls", Budget(tokens=1_500_000, seconds=30.0, calls=64)),
    ],
)
def test_budgets_are_read(text: str, expected: Budget) -> None:
    assert Budget.parse(text) == expected


@pytest.mark.parametrize("text", ["", "k", "8x", "-3", "8k,9k", "$5s", "0", "8 k tokens", "1e3,"])
def test_budgets_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(BudgetError):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["1e400", "$1e400", "8k,1e999s", "9e307Gflops", "9" * 400])
def test_budgets_without_end_are_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(BudgetError, match="is too large a number"):
        Budget.parse(text)


@given(
    tokens=st.none() | st.integers(1, 10**9),
    calls=st.none() | st.integers(1, 10**6),
    seconds=st.none() | st.integers(1, 10**5),
)
def test_a_budget_reads_what_it_writes(
    tokens: int | None, calls: int | None, seconds: int | None
) -> None:
    budget = Budget(tokens=tokens, calls=calls, seconds=seconds, sequential=tokens, eflops=seconds)
    if budget != Budget():
        assert Budget.parse(str(budget)) == budget


def test_a_prompt_has_exactly_one_form() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Prompt()
    with pytest.raises(ValueError, match="exactly one"):
        Prompt(text="a", token_ids=(1,))
    with pytest.raises(ValueError, match="prefill"):
        Prompt(text="a", prefill="b")
    assert Prompt(messages=(Message("user", "a"),), prefill="b").prefill == "b"


def test_a_score_has_a_value_or_an_error() -> None:
    with pytest.raises(ValueError, match="never both or neither"):
        Score(value=None)
    with pytest.raises(ValueError, match="never both or neither"):
        Score(value=1.0, error="failed")


def test_the_usage_of_a_call_that_was_lost_is_unknown_but_for_its_number() -> None:
    lost = Usage.unknown(3)
    assert (lost.calls, lost.reused_tokens) == (3, 0)
    assert lost.generated_tokens is lost.prompt_tokens is lost.seconds is lost.usd is None
    assert sum_usage([lost, Usage(generated_tokens=5, calls=1)]).generated_tokens is None
    assert Usage.unknown(0) == Usage()


def test_no_usages_add_to_nothing() -> None:
    assert sum_usage([]) == Usage()


@pytest.mark.parametrize(
    ("score", "number", "share"),
    [
        (Score(0.4), 0.4, 0.4),
        (Score(3.0), 3.0, None),
        (Score(3.0, probability=0.7), 0.7, 0.7),
        (Score(None, error="failed"), None, None),
    ],
)
def test_one_number_of_a_score(score: Score, number: float | None, share: float | None) -> None:
    assert (score.probability_or_value, score.share) == (number, share)
