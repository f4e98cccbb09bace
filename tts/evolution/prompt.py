"""What a model is asked to improve a program, and the program that its answer makes."""

import re
from collections.abc import Mapping
from typing import Literal

from tts.answers.marks import last_fence
from tts.evolution.parents import Choice
from tts.evolution.population import Program

Way = Literal["diff", "rewrite"]
START, END = "# EVOLVE-BLOCK-START", "# EVOLVE-BLOCK-END"
_SEARCH, _MIDDLE, _REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
_BLOCKS = re.compile(
    rf"^{_SEARCH}[ \t]*\n(.*?)^{_MIDDLE}[ \t]*\n(.*?)^{_REPLACE}", re.MULTILINE | re.DOTALL
)
_TASK = "Improve this Python program: an evaluator runs it, and its score shall rise."
_ASKED: Mapping[Way, str] = {
    "diff": f"Answer with one or more changes, each in this form, whose first part repeats lines "
    f"of the program exactly:\n\n{_SEARCH}\nlines of the program\n{_MIDDLE}\nwhat stands there "
    f"instead\n{_REPLACE}",
    "rewrite": "Write the whole improved program in one ```python block.",
}
_WITHIN = f"Change only what stands between the lines {START} and {END}."


class Rejected(Exception):
    """An answer makes no program; the message says why."""


def ask(choice: Choice, way: Way) -> str:
    """Return the request for a better program.

    Args:
        choice: The program that is improved, and others to learn from.
        way: Whether changes are asked for, or the whole program.
    """
    parent = choice.parent
    parts = [_TASK, _shown("The program", parent)]
    if parent.notes.strip():
        parts.append(f"What the evaluator said of it:\n{parent.notes.strip()}")
    parts += [_shown("Another program", program) for program in choice.shown]
    parts.append("\n".join([*([_WITHIN] if START in parent.code else []), _ASKED[way]]))
    return "\n\n".join(parts)


def _shown(what: str, program: Program) -> str:
    metrics = "".join(f", {name} {value:.6g}" for name, value in program.metrics.items())
    score = f"score {program.score:.6g}{metrics}"
    return f"{what}, {score}:\n```python\n{program.code.strip()}\n```"


def to_child(answer: str, parent: str, *, max_chars: int) -> str:
    """Return the program that an answer makes of its parent.

    An answer with changes is applied to the lines between the marks; else its last block of code
    takes their place. Whichever was asked for, either is understood.

    Args:
        answer: Of a model, without its thought.
        parent: All of the parent's code.
        max_chars: Longest program that is accepted.

    Raises:
        Rejected: There is none, it changes nothing, or it is too long.
    """
    before, block, after = _split(parent)
    if changes := _BLOCKS.findall(answer):
        for old, new in changes:
            if not old.strip() or old not in block:
                raise Rejected("a change repeats no lines of the program")
            block = block.replace(old, new, 1)
    elif (written := last_fence(answer)) is not None:
        block = _split(f"{written}\n")[1]
    else:
        raise Rejected("the answer has neither changes nor a program")
    child = before + block + after
    if child.split() == parent.split():
        raise Rejected("the answer changes nothing")
    if len(child) > max_chars:
        raise Rejected(f"the program has {len(child):,} characters, and {max_chars:,} are accepted")
    return child


def _split(code: str) -> tuple[str, str, str]:
    """Return what stands before, between and after the marks; a program without them is between."""
    lines = code.splitlines(keepends=True)
    marks = [i for i, line in enumerate(lines) if line.strip() in (START, END)]
    if len(marks) != 2:
        return "", code, ""
    first, last = marks
    return "".join(lines[: first + 1]), "".join(lines[first + 1 : last]), "".join(lines[last:])
