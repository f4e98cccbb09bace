"""Where the steps of real models' texts are."""

import pytest

from tts.tasks.splits import split_solution, split_steps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("one\n\n\n two \n\n", ["one", "two"]),
        ("one\ntwo", ["one\ntwo"]),
    ],
)
def test_paragraphs_are_steps(text: str, expected: list[str]) -> None:
    assert split_steps(text) == expected
    assert split_solution(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Step 1: add.\n2 + 2 = 4\nStep 2: so\n4", ["Step 1: add.\n2 + 2 = 4", "Step 2: so\n4"]),
        ("We see:\n1. a = 2\n2) b = 3\nSo 5", ["We see:\n1. a = 2", "2) b = 3\nSo 5"]),
        ("## Step 1\nx\n**Step 2**\ny\n  3. z", ["## Step 1\nx", "**Step 2**\ny", "3. z"]),
        # Numbers that begin no step: decimals, sums, years, and a single one.
        ("0.5 of it\n12 + 3 = 15\n2024. A year", ["0.5 of it\n12 + 3 = 15\n2024. A year"]),
        ("Step 1: all of it\nis 4", ["Step 1: all of it\nis 4"]),
        # Paragraphs go before numbers.
        ("1. a\n2. b\n\nso 3", ["1. a\n2. b", "so 3"]),
    ],
)
def test_a_single_paragraph_is_cut_where_it_numbers_its_steps(
    text: str, expected: list[str]
) -> None:
    assert split_solution(text) == expected
