"""Find the final answer in a text."""

from tts.answers.canonical import canonical_form, is_number
from tts.answers.choices import find_choice
from tts.answers.marks import (
    last_boxed,
    last_fence,
    last_line_mark,
    last_rows,
    last_tagged,
    own_part,
)
from tts.answers.sentences import announced, bare_answer, concluded
from tts.answers.thoughts import after_thought, solution_of
from tts.types import AnswerType


def extract_answer(text: str, answer_type: AnswerType) -> str | None:
    r"""Return the final answer that a text announces, as it wrote it; None when it announces none.

    What follows the thought (`</think>`, `[/THINK]`, a final channel and the like) is read first,
    up to an invented further question; 1 to 3 are then tried on the whole text:

    1. the last balanced `\boxed{...}`; adjacent boxes are one list ("1, 2"), an empty or
       unbalanced box is none;
    2. the last `<answer>...</answer>`, then the GSM8K line `#### 42`;
    3. the last "answer is ...", "Answer: ...", up to the end of the sentence, in any of a score of
       languages;
    4. a last sentence that is complete and begins with "therefore", "so" or the like, or says
       something in bold;
    5. an answer alone: a text that is one line of at most 200 characters and no prose, or that is
       a single sentence; for "integer" also a last line that is the integer and nothing else.

    Of a sentence in prose (3 to 5) only what follows its last "is", its only formula or its only
    number is taken. Beyond this rule a number somewhere in a text is never an answer, so that an
    unfinished text has none, nor does prose that holds none. "integer" gives the bare number where
    the announced answer is one, else the announced text (a wrong answer, but one). "choice" gives a
    letter, marked, announced or alone (`tts.answers.choices`), or nothing. "code" is the last
    closed fenced block. "grid" is a box, tags or the last lines of nothing but digits. "free" and
    "exact" are all that follows the thought.

    Runs in time linear in the length of the text.
    """
    if answer_type == "code":
        return last_fence(text)
    if answer_type in ("free", "exact"):
        return solution_of(text) or None
    tail = after_thought(text)
    if answer_type == "grid":
        return last_boxed(tail) or last_tagged(tail) or last_rows(tail)
    if answer_type == "choice":
        return _choice(tail) or _choice(text)
    own = own_part(tail, lambda part: _marked(part, answer_type) is not None)
    found = _marked(own, answer_type)
    if found is None and len(own) < len(text.strip()):
        found = _marked(text, answer_type)
    return found or _said(own, answer_type)


def _choice(text: str) -> str | None:
    own = own_part(text, lambda part: find_choice(part) is not None)
    return find_choice(own)


def _marked(text: str, answer_type: AnswerType) -> str | None:
    for marked in (last_boxed(text), last_tagged(text), last_line_mark(text)):
        if marked:
            return _shape(marked, answer_type) or marked
    found = announced(text, answer_type)
    return found and (_shape(found, answer_type) or found)


def _said(text: str, answer_type: AnswerType) -> str | None:
    """Return what a last sentence concludes, or an answer that stands alone."""
    if answer_type == "countdown":
        return bare_answer(text)
    conclusion = concluded(text)
    if conclusion and answer_type == "integer":
        conclusion = _shape(conclusion, answer_type)
    if conclusion or answer_type == "math":
        return conclusion or bare_answer(text)
    last_line = text[-400:].rstrip().rpartition("\n")
    is_line = last_line[1] or len(text) <= 400
    return _shape(last_line[2].strip(" *"), answer_type) if is_line else None


def _shape(answer: str, answer_type: AnswerType) -> str | None:
    """Bring an announced answer into its type's shape; None when it is not of that type."""
    if answer_type != "integer":
        return answer
    if answer.count("{") != answer.count("}"):
        return None
    canonical = canonical_form(answer, "integer")
    return canonical if is_number(canonical) and "." not in canonical else None
