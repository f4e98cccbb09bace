"""What a chat template knows of thoughts, learned from what it renders and not from a model's name.

The probes are rendered by whoever has the template: transformers here, vLLM's server elsewhere.
`learn` reads from the texts how a thought opens and closes, and which option switches it on or off.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tts.answers.thought_marks import KNOWN, Marks
from tts.engine import template_probes as probes
from tts.engine.template_probes import ASKED, SAID, THOUGHT, Options, Probe
from tts.engine.thought_marks import (
    answer_tag,
    counterpart,
    find_pair,
    find_told,
    first_bracketed,
    last_opening,
)
from tts.types.thought import Thought

_State = Literal["open", "closed", "bare"]


@dataclass(frozen=True, slots=True)
class Beginning:
    """How to make the model's turn begin in one way.

    Attributes:
        options: Of the template.
        system: Words that go into the system message.
        tail: What follows the rendered prompt.
    """

    options: Options = ()
    system: str = ""
    tail: str = ""


@dataclass(frozen=True, slots=True)
class Thoughts:
    """How a model writes thoughts.

    Attributes:
        open: Begins a turn with a thought that is open.
        skipped: Begins it with the answer: thinking is switched off, or the thought is empty.
        closing: Ends a thought and begins the answer.
        mark: The part of it at which a thought is over.
        is_default: The model thinks where nothing is said.
    """

    open: Beginning
    skipped: Beginning
    closing: str
    mark: str
    is_default: bool = False

    def begin(self, thought: Thought) -> Beginning:
        """Return how to begin a turn with a thought."""
        if thought.stage == "skipped":
            return self.skipped
        words = self.close(thought.text) if thought.stage == "closed" else thought.text
        return Beginning(self.open.options, self.open.system, self.open.tail + words)

    def close(self, text: str) -> str:
        """Return a thought with its end; a newline that stands there is not written twice."""
        text = text.rstrip("\N{REPLACEMENT CHARACTER}")
        is_there = text.endswith("\n") or not text
        return text + (self.closing.removeprefix("\n") if is_there else self.closing)


def learn(rendered: Mapping[Probe, str]) -> Thoughts | None:
    """Return how a template's model writes thoughts; None if the template knows none.

    Args:
        rendered: Texts of `PROBES`; those that the template refuses are left out.
    """
    if probes.ask() not in rendered:
        return None
    reader = _Reader(rendered)
    marks = reader.marks()
    return None if marks is None else reader.thoughts(marks)


@dataclass(frozen=True, slots=True)
class _Written:
    """An answered turn: what stands before the thought, and between it and the answer."""

    before: str
    between: str


class _Reader:
    """Reads the rendered probes of one template."""

    def __init__(self, rendered: Mapping[Probe, str]) -> None:
        self._rendered = rendered
        self._base = self._turn(probes.ask()) or ""
        self._history = self._find_history()

    def marks(self) -> Marks | None:
        """Return the marks of a thought, from the surest sign to the weakest."""
        return (
            self._turn_marks()
            or next((marks for marks in KNOWN if self._leaves_out(marks)), None)
            or next(filter(None, map(find_told, self._prompts(((), *probes.ON)))), None)
        )

    def thoughts(self, marks: Marks) -> Thoughts | None:
        """Return how to write thoughts with these marks."""
        on = self._switched_on(marks)
        if on is None:
            return None
        turn = self._turn(probes.ask(on)) or ""
        is_open = _state(turn, marks) == "open"
        opening = "" if is_open else self._opening(turn, marks)
        closing = self._closing(turn + opening, on, marks)
        off = self._switched_off(on, marks)
        if off is None:
            off = Beginning(on, tail=self._empty(turn, opening, closing, marks))
        is_default = not on and marks == self._turn_marks()
        return Thoughts(Beginning(on, tail=opening), off, closing, marks.closing, is_default)

    def _turn(self, probe: Probe) -> str | None:
        """Return what a template writes after the question, to the end or to the answer."""
        text = self._rendered.get(probe)
        if text is None or ASKED not in text:
            return None
        turn = text.rpartition(ASKED)[2].partition(SAID)[0]
        idle = self._rendered.get(probes.NOT_ASKED, "").rpartition(ASKED)[2]
        is_told = idle == turn or not turn.startswith(idle)
        return turn if is_told else turn[len(idle) :]

    def _turns(self) -> Iterable[str]:
        asked = ((), *probes.ON, *probes.OFF)
        told = map(probes.ask_with, probes.OFF_WORDS)
        found = [probes.answered(), *map(probes.ask, asked), *told]
        return filter(None, map(self._turn, found))

    def _prompts(self, asked: Iterable[Options]) -> Iterable[str]:
        """Return what stands before the question."""
        found = (self._rendered.get(probes.ask(options), "") for options in asked)
        return (text.rpartition(ASKED)[0] for text in found)

    def _find_history(self) -> _Written | None:
        for options in ((), *probes.ON):
            for shape in probes.SHAPES:
                turn = self._turn(probes.answered(shape, options)) or ""
                before, found, between = turn.partition(THOUGHT)
                # Some write a content that is no text as the data that it is.
                if found and "type" not in turn and between.strip():
                    return _Written(before, between)
        return None

    def _turn_marks(self) -> Marks | None:
        """Return the marks that the template itself writes into an assistant's turn."""
        return (
            self._written_marks()
            or next(filter(None, map(find_pair, self._turns())), None)
            or self._open_marks()
        )

    def _written_marks(self) -> Marks | None:
        if (written := self._history) is None:
            return None
        opening = last_opening(written.before)
        if not opening:
            before, base = written.before, self._base
            opening = before.removeprefix(base) or base.removeprefix(before)
        closing = counterpart(opening) if opening else ""
        is_written = closing and closing in written.between
        return Marks(opening, closing if is_written else first_bracketed(written.between))

    def _open_marks(self) -> Marks | None:
        for turn in self._turns():
            opening = last_opening(turn)
            if opening and turn.rstrip().endswith(opening.rstrip()):
                return Marks(opening, counterpart(opening))
        return None

    def _leaves_out(self, marks: Marks) -> bool:
        text = self._rendered.get(probes.answered_before(marks), "")
        return SAID in text and THOUGHT not in text

    def _switched_on(self, marks: Marks) -> Options | None:
        """Return the options with which the model thinks; None if there are none."""
        base = _state(self._base, marks)
        if base == "open":
            return ()
        for wanted in ("open", "bare"):
            for options in probes.ON:
                turn = self._turn(probes.ask(options))
                is_switch = base == "closed" or wanted == "open" or options[0][1] is True
                if is_switch and _state(turn, marks) == wanted and self._differs(options, ()):
                    return options
        return () if base == "bare" else None

    def _switched_off(self, on: Options, marks: Marks) -> Beginning | None:
        """Return how a template itself begins a turn without a thought; None if it has no way."""
        for options in ((), *probes.OFF):
            if _state(self._turn(probes.ask(options)), marks) == "closed":
                return Beginning(options)
        for words in probes.OFF_WORDS:
            if _state(self._turn(probes.ask_with(words)), marks) == "closed":
                return Beginning(system=words)
        for options in ((), *(off for off in probes.OFF if off[0][1] is False)):
            if (
                self._differs(on, options)
                and _state(self._turn(probes.ask(options)), marks) == "bare"
            ):
                return Beginning(options)
        return None

    def _differs(self, options: Options, others: Options) -> bool:
        one, two = (self._rendered.get(probes.ask(o)) for o in (options, others))
        return None not in (one, two) and one != two

    def _opening(self, turn: str, marks: Marks) -> str:
        """Return what opens a thought after a turn's beginning."""
        if self._history and self._history.before.startswith(turn):
            return self._history.before[len(turn) :]
        for shown in self._turns():
            if shown.startswith(turn) and _state(shown, marks) == "open":
                return shown[len(turn) :]
            before, closing, _ = shown.partition(marks.closing)
            if closing and before.startswith(turn) and marks.opening in before:
                return before[len(turn) :].replace("\n\n", "\n")
        is_told = any(map(find_told, self._prompts(((), *probes.ON))))
        return marks.opening if is_told or marks.opening != "<think>" else "<think>\n"

    def _closing(self, opened: str, on: Options, marks: Marks) -> str:
        """Return what ends a thought and begins the answer."""
        if self._history is not None:
            return self._history.between
        if " " in marks.closing:  # words, which stand on a line of their own
            return f"\n{marks.closing}\n"
        is_tag = marks.closing.startswith("</")
        own_line = "\n" if is_tag and opened.endswith("\n") else ""
        is_shown = any(t.startswith(f"{opened}\n{marks.closing}") for t in self._turns())
        before = "\n" if is_shown else own_line
        told = answer_tag("".join(self._prompts([on])))
        return f"{before}{marks.closing}{2 * own_line}{told or self._answer_opening(marks)}"

    def _answer_opening(self, marks: Marks) -> str:
        """Return the mark that stands before an answer without a thought; empty if none does."""
        answered = self._turn(probes.answered()) or ""
        begun = [turn for turn in map(self._turn, _ASKS) if turn and answered.startswith(turn)]
        if not begun or _state(answered, marks) != "bare":
            return ""
        rest = answered[max(map(len, begun)) :]
        return rest if rest.strip() else ""

    def _empty(self, turn: str, opening: str, closing: str, marks: Marks) -> str:
        """Return what skips the thought, where no option does."""
        answered = self._turn(probes.answered()) or ""
        if opening and answered.startswith(turn) and answered != turn:
            return answered[len(turn) :]
        is_begun = not marks.opening and turn.endswith("\n")
        return opening + (closing.removeprefix("\n") if is_begun else closing)


_ASKS = [probes.ask(options) for options in ((), *probes.ON)]


def _state(turn: str | None, marks: Marks) -> _State | None:
    """Return how a turn begins: with an open thought, after a closed one, or with neither."""
    if turn is None:
        return None
    opened, closed = turn.rfind(marks.opening.strip()), turn.rfind(marks.closing)
    if opened == closed:  # neither is there
        return "bare"
    return "open" if opened > closed else "closed"
