"""What a preset says around every problem; `tts.prompts` writes it into what is asked."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PromptExample:
    """A problem and a model answer to it, shown before the problem that is asked."""

    problem: str
    answer: str


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What is said around every problem; the defaults say nothing more than `tts.prompts` does.

    Attributes:
        system: The system message; empty for none.
        instruction: What to ask for a solution by, in place of the words of `tts.prompts`.
        answer: How an answer is to be written, where a new or a corrected solution is asked for, in
            place of what fits its type; not said beside `instruction`.
        examples: Shown as earlier turns of the chat, each with the same instruction.
        template: How a problem and what is asked of it make up a user's turn.
        notes: Stand before the problem in that turn; nothing if empty.
    """

    system: str = ""
    instruction: str | None = None
    answer: str | None = None
    examples: tuple[PromptExample, ...] = ()
    template: str = "{problem}\n\n{instruction}"
    notes: str = ""
