"""Conversations that show how a chat template writes thoughts, once they are rendered."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tts.answers.thought_marks import KNOWN, Marks

Options = tuple[tuple[str, Any], ...]

ASKED, SAID, THOUGHT = "Qzproblem", "Qzanswer", "Qzthought"  # words that no template has
ON: Sequence[Options] = (
    (("enable_thinking", True),),
    (("thinking", True),),
    (("reasoning", True),),
    (("thinking_mode", "enabled"),),
    (("reasoning_effort", "high"),),
)
OFF: Sequence[Options] = (
    (("enable_thinking", False),),
    (("thinking", False),),
    (("reasoning", False),),
    (("thinking_mode", "disabled"),),
    (("thinking_budget", 0),),
    (("reasoning_effort", "none"),),
    (("reasoning_effort", "no_think"),),
    (("reasoning_effort", "minimal"),),
    (("reasoning_effort", "low"),),
)
OFF_WORDS = ("/no_think",)  # in a system message


@dataclass(frozen=True, slots=True)
class Probe:
    """A conversation to be rendered.

    Attributes:
        messages: Role, content, and the shape in which a thought goes with it; "" is none.
        options: Of the template.
        asks: The assistant's turn is begun at the end.
    """

    messages: tuple[tuple[str, str, str], ...]
    options: Options = ()
    asks: bool = True

    def to_messages(self) -> list[dict[str, Any]]:
        """Return the messages, as templates take them."""
        return [{"role": role, **_SHAPES[shape](content)} for role, content, shape in self.messages]


def ask(options: Options = ()) -> Probe:
    """Return a question to the model."""
    return Probe(_USER, options)


def ask_with(words: str) -> Probe:
    """Return a question to the model under a system message."""
    return Probe((("system", words, ""), *_USER))


def answered(shape: str = "", options: Options = ()) -> Probe:
    """Return a question and its answer, with a thought if it has a shape."""
    return Probe((*_USER, ("assistant", SAID, shape)), options, asks=False)


def answered_before(marks: Marks) -> Probe:
    """Return an earlier turn with a thought in its text: templates that know it leave it out."""
    told = f"{marks.opening}{THOUGHT}{marks.closing}{SAID}"
    later = (("user", "more", ""), ("assistant", "less", ""))
    return Probe((*_USER, ("assistant", told, ""), *later), asks=False)


def _beside(name: str) -> Callable[[str], dict[str, Any]]:
    return lambda content: {"content": content, name: THOUGHT}


def _as_parts(content: str) -> dict[str, Any]:
    thought = {"type": "thinking", "thinking": THOUGHT}
    return {"content": [thought, {"type": "text", "text": content}]}


def _as_typed_text(content: str) -> dict[str, Any]:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}
    return {"content": [thought, {"type": "text", "text": content}]}


def _as_blocks(content: str) -> dict[str, Any]:
    thought = {"type": "thoughts", "text": THOUGHT}
    return {"content": {"blocks": [thought, {"type": "response", "text": content}]}}


_SHAPES: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "": lambda content: {"content": content},
    **{name: _beside(name) for name in ("reasoning_content", "thinking", "reasoning", "thought")},
    "parts": _as_parts,
    "typed_text": _as_typed_text,
    "blocks": _as_blocks,
}
SHAPES = tuple(_SHAPES)[1:]
_USER = (("user", ASKED, ""),)
NOT_ASKED = Probe(_USER, asks=False)


def _all() -> Iterator[Probe]:
    yield NOT_ASKED
    yield from map(ask, ((), *ON, *OFF))
    yield from map(ask_with, OFF_WORDS)
    for options in ((), *ON):
        yield from (answered(shape, options) for shape in _SHAPES)
    yield from map(answered_before, KNOWN)


PROBES: Sequence[Probe] = tuple(_all())
