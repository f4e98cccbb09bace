"""A solution that was generated in one request is cut where step by step it would have ended."""

from dataclasses import replace

import pytest

from tts.search.playout import cut_playout
from tts.search.steps import Stepwise
from tts.types import Completion, Origin, Trajectory, Usage

NOTHING = Trajectory(id="p", origin=Origin("n", 0, 0), text="", finish_reason=None)
USAGE = Usage(prompt_tokens=5, generated_tokens=20, calls=1)


def whole(*tokens: str, finish: str = "stop") -> Completion:
    """A completion whose tokens are these texts; token i has the id and the log-probability -i."""
    text = "".join(tokens)
    ends: list[int] = []
    for token in tokens:
        ends.append((ends[-1] if ends else 0) + len(token))
    size = len(tokens)
    return Completion(
        index=0,
        text=text,
        finish_reason=finish,  # type: ignore[arg-type]
        usage=replace(USAGE, generated_tokens=size),
        token_ids=tuple(range(size)),
        logprobs=tuple(float(-place) for place in range(size)),
        offsets=tuple(ends),
    )


def steps(completion: Completion, *, most: int = 9, **options: object) -> list[tuple[str, int]]:
    """Return the texts of the steps, and how many tokens each has."""
    found = cut_playout(Stepwise(**options), NOTHING, completion, most=most)  # type: ignore[arg-type]
    ids = tuple(token for step in found for token in step.token_ids)
    assert ids == completion.token_ids[: len(ids)]
    assert sum(step.usage.generated_tokens or 0 for step in found) == len(completion.token_ids)
    assert sum(step.usage.calls for step in found) == 1
    assert [len(step.logprobs or ()) for step in found] == [len(step.token_ids) for step in found]
    return [(step.text, len(step.token_ids)) for step in found]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (("a", "b", "\n\n", "c"), [("ab", 3), ("c", 1)]),
        (("a", ".\n", "\n", "c"), [("a.", 3), ("c", 1)]),  # the separator in two tokens
        (("a", ".\n\n", "c"), [("a.", 2), ("c", 1)]),  # in one with the text before it
        (("a", "\n\nb", "c"), [("a", 2), ("bc", 1)]),  # with the text behind: it stays whole
        (("a", "\n\n", "\n\n", "c"), [("a", 2), ("\n\nc", 2)]),  # no step is empty
        (("\n\n", "a", "\n\n", "c"), [("\n\na", 3), ("c", 1)]),
        (("a", "\n\n"), [("a\n\n", 2)]),  # nothing follows
        (("a",), [("a", 1)]),
    ],
)
def test_steps_end_at_separators(tokens: tuple[str, ...], expected: list[tuple[str, int]]) -> None:
    assert steps(whole(*tokens)) == expected


def test_a_long_step_is_cut_by_its_length() -> None:
    tokens = ("a", "b", "c", "d", "\n\n", "e")
    assert steps(whole(*tokens), step_tokens=2) == [("ab", 2), ("cd", 2), ("\n\ne", 2)]
    assert steps(whole(*tokens), step_tokens=4) == [("abcd", 4), ("\n\ne", 2)]
    assert steps(whole(*"abc"), separator=None, step_tokens=2) == [("ab", 2), ("c", 1)]


def test_the_last_step_that_there_may_be_holds_all_the_rest() -> None:
    completion = whole("a", "\n\n", "b", "\n\n", "c")
    assert steps(completion, most=2) == [("a", 2), ("b\n\nc", 3)]
    assert steps(completion, most=1) == [("a\n\nb\n\nc", 5)]


def test_what_follows_an_answer_is_paid_and_dropped() -> None:
    found = cut_playout(
        Stepwise(), NOTHING, whole("a", "\n\n", "\\boxed{1}", "\n\n", "Or", " else"), most=9
    )
    assert [step.text for step in found] == ["a", "\\boxed{1}"]
    assert [step.usage.generated_tokens for step in found] == [4, 2]


def test_each_step_ends_as_a_request_of_its_own_would() -> None:
    first, second, last = cut_playout(
        Stepwise(step_tokens=3),
        NOTHING,
        whole("a", "\n\n", "b", "c", "d", "e", finish="length"),
        most=9,
    )
    assert (first.finish_reason, first.stop_string) == ("stop", "\n\n")
    assert (second.finish_reason, second.stop_string) == ("length", None)
    assert (last.finish_reason, last.stop_string) == ("length", None)


def test_numbered_separators_count_on() -> None:
    text = ["Step 1: a", "\nStep 2:", " b", "\nStep 3:", " c"]
    assert [text for text, _ in steps(whole(*text), separator="\nStep {}:")] == [
        "Step 1: a",
        " b",
        " c",
    ]


@pytest.mark.parametrize(
    "completion",
    [
        replace(whole("a", "\n\n", "b"), offsets=None),
        replace(whole("a", "\n\n", "b"), finish_reason="error", error="x"),
    ],
)
def test_what_cannot_be_cut_stays_whole(completion: Completion) -> None:
    assert cut_playout(Stepwise(), NOTHING, completion, most=9) == [completion]
