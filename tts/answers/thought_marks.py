"""The marks that published models write around their thoughts: in templates, and in texts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Marks:
    """What a template writes around a thought.

    Attributes:
        opening: Stands before it; empty if nothing does.
        closing: Stands after it.
    """

    opening: str
    closing: str


# Looked for in texts, in system prompts, in what templates strip from earlier turns, and in
# vocabularies. Marks of the same forms with other names are found beside these.
KNOWN = (
    Marks("<think>", "</think>"),
    Marks("[THINK]", "[/THINK]"),
    Marks("◁think▷", "◁/think▷"),
    Marks("<thinking>", "</thinking>"),
    Marks("<thought>", "</thought>"),
    Marks("<reasoning>", "</reasoning>"),
    Marks("<|channel>thought\n", "<channel|>"),
    Marks("<|START_THINKING|>", "<|END_THINKING|>"),
    Marks("<|begin_of_thought|>", "<|end_of_thought|>"),
    Marks("Here is my thought process:", "Here is my response:"),
    Marks("", "[BEGIN FINAL RESPONSE]"),
)
