"""YAML that would grow without end is refused before it does."""

import datetime
from typing import Any

import pytest
import yaml

from tts.storage import bounded_yaml

LAUGHS = "\n".join(
    ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
)
CHAIN = "\n".join(["- &a0 [1]", *(f"- &a{n} [*a{n - 1}]" for n in range(1, 100))])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: {b: [1, 2.5, yes, ~, word]}", {"a": {"b": [1, 2.5, True, None, "word"]}}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("day: 2026-11-29", {"day": datetime.date(2026, 11, 29)}),
        ("[" * 39 + "1" + "]" * 39, None),
    ],
)
def test_what_people_write_is_read(text: str, value: Any) -> None:
    found = bounded_yaml.load(text)
    assert found == value if value is not None or not text else str(found).count("[") == 39


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (LAUGHS, "more than 100,000 values, aliases written out", 5),
        (CHAIN, "nested more than 40 levels deep", None),
        ("x: 1\na: &a [*a]", "within itself", 2),
        ("a: &a {b: *a}", "within itself", 1),
        ("[" * 40 + "1" + "]" * 40, "nested more than 40 levels deep", 1),
        ("[" * 100_000, "nested more than 40 levels deep", 1),
        ("{a: " * 5_000, "nested more than 40 levels deep", 1),
        ("\n".join(" " * n + "a:" for n in range(500)), "nested more than 40", 40),
        ("a: " + "9" * 5_000, "Exceeds the limit", 1),
        ("a: 1\nb: 2026-99-99", "month must be in", 2),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor", 1),
        ("a: !own 3", "could not determine a constructor", 1),
        ("? [a]\n: 1", "found unhashable key", 1),
    ],
)
def test_the_rest_is_refused_in_a_sentence_with_its_line(
    text: str, message: str, line: int | None
) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match=message) as caught:
        bounded_yaml.load(text)
    mark = caught.value.problem_mark
    assert mark is not None and line in (None, mark.line + 1)


def test_a_long_text_is_refused_unread() -> None:
    with pytest.raises(yaml.YAMLError, match="longer than 1,048,576 characters"):
        bounded_yaml.load("#" * 2**20 + "#")
