"""Thoughts apart from answers, of texts that grow."""

import pytest

from tts.server.answers import split_thought

THINKING = "<think>\nfirst this\n\nthen that\n</think>\n\nIt is 4.\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (THINKING, ("first this\n\nthen that", "It is 4.\n")),
        ("It is <think>4</think>", ("", "It is <think>4</think>")),
        ("<think>\nnever ends", ("never ends", "")),
        (" It is 4. ", ("", " It is 4. ")),
        ("<thi", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_thought_is_told_from_what_follows(text: str, expected: tuple[str, str]) -> None:
    assert split_thought(text) == expected


def test_both_parts_only_grow() -> None:
    before = ("", "")
    for end in range(len(THINKING) + 1):
        now = split_thought(THINKING[:end])
        assert all(new.startswith(old) for new, old in zip(now, before, strict=True)), end
        before = now
