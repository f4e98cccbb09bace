"""Concepts: read from a model's words, merged by name, named in a list."""

import pytest

from tts.concepts import Concept, merge, named_in, parse_concepts

WRITTEN = """Here is what it teaches.
```yaml
- name: Factor first
  kind: Routine
  description: Split a number into primes
  parameters: [n: int]
  cues:
    - divisors are asked for
  notes: [try 2, 3, 5]
- name: nameless ideas are dropped
- kind: routine
  description: it has no name
- just a line
```"""


def test_a_list_is_read_and_what_is_no_concept_is_dropped() -> None:
    assert parse_concepts(WRITTEN) == [
        Concept(
            "Factor first",
            "routine",
            "Split a number into primes",
            ("n: int",),
            ("divisors are asked for",),
            ("try 2", "3", "5"),
        )
    ]


@pytest.mark.parametrize(
    "text", ["", "no list", "- [", "```yaml\n- name: [\n```", "{a: &a [*a]}", "- name: x"]
)
def test_what_cannot_be_read_teaches_nothing(text: str) -> None:
    assert parse_concepts(text) == []


def test_sentences_with_colons_are_read() -> None:
    """YAML takes these colons for a mapping's, and reads nothing of the list."""
    # Qwen2.5-Coder-1.5B wrote this of a problem of GSM8K.
    text = """```yaml
- name: Converting Time Units
  kind: routine
  description: This example teaches how to convert minutes to hours.
  parameters: n: int
  cues:
    - Example: Convert 30 minutes to hours.
    - Output: 0.5 hours
  notes:
    - This skill is essential for time-related calculations in many fields.
```"""
    (concept,) = parse_concepts(text)
    assert concept == Concept(
        "Converting Time Units",
        "routine",
        "This example teaches how to convert minutes to hours.",
        ("n: int",),
        ("Example: Convert 30 minutes to hours.", "Output: 0.5 hours"),
        ("This skill is essential for time-related calculations in many fields.",),
    )


def test_a_sentence_may_go_on_in_the_next_line_and_hold_quotation_marks() -> None:
    text = """- name: Rates
  description: The rule is: speed is
    distance over time, in "km per h": über alles
  cues:
    - "how far" is asked: multiply
  notes: [divide first]"""
    (concept,) = parse_concepts(text)
    assert (
        concept.description == 'The rule is: speed is distance over time, in "km per h": über alles'
    )
    assert concept.cues == ('"how far" is asked: multiply',)
    assert concept.notes == ("divide first",)


def test_it_is_shown_with_its_cues_and_notes() -> None:
    (concept,) = parse_concepts(WRITTEN)
    assert str(concept) == (
        "- Factor first(n: int), a routine: Split a number into primes\n"
        "  Cue: divisors are asked for\n  Note: try 2\n  Note: 3\n  Note: 5"
    )
    assert Concept.of(concept.to_mapping()) == concept


def test_equal_names_become_one_and_merging_twice_changes_nothing() -> None:
    first = Concept("Parity", "structure", "odd or even", ("n",), ("pairs",), ())
    again = Concept("parity", "routine", "another text", ("n", "k"), ("pairs", "sums"), ("mod 2",))
    other = Concept("Bounds", notes=("look at the ends",))
    (merged, kept) = merge([first, other, again])
    # The first description and kind stay; the rest is united, in order.
    united = Concept(
        "Parity", "structure", "odd or even", ("n", "k"), ("pairs", "sums"), ("mod 2",)
    )
    assert [merged, kept] == [united, other]
    assert merge([merged, kept, again, first]) == [merged, kept]


def test_names_that_are_not_in_the_memory_are_ignored() -> None:
    known = [Concept("Parity"), Concept("Bounds"), Concept("Cases")]
    said = 'I would use\n1. "bounds"\n- Magic\n* Parity\nBounds\nCases'
    assert [one.name for one in named_in(said, known, 2)] == ["Bounds", "Parity"]
