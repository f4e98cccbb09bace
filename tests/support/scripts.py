"""Scripts: what the scripted engine says to a prompt."""

from dataclasses import replace

from tests.support.solving import PROBLEM
from tts.engine.scripted import Ask, Line, Script
from tts.seeds import derive_seed


def boxed(answer: int | str) -> str:
    return rf"so it is \boxed{{{answer}}}"


def says(*answers: str | int | None) -> Script:
    """Script: attempt i ends in the boxed answer i, starting over after the last."""

    def line(ask: Ask) -> Line:
        answer = answers[ask.index % len(answers)]
        return Line("I do not know" if answer is None else rf"it is \boxed{{{answer}}}")

    return line


def place(ask: Ask, node: str = "sample") -> int:
    """Return which sample of a node a sequence is, however they were batched."""
    return ask.seed - derive_seed(0, PROBLEM.id, node)


def in_order(*answers: str | int | None) -> Script:
    """Script: sample i of the node "sample" ends in the boxed answer i, from the first again."""
    return lambda ask: says(*answers)(replace(ask, index=place(ask)))


def sure(*pairs: tuple[int, float]) -> Script:
    """Script: sample i ends in an answer and has the same confidence in each of its tokens."""

    def line(ask: Ask) -> Line:
        answer, confidence = pairs[ask.index % len(pairs)]
        text = rf"it is \boxed{{{answer}}}"
        return Line(text, confidences=(confidence,) * len(text))

    return line


def answered(*scripts: tuple[str, Script], otherwise: Script) -> Script:
    """Script: the first whose key is in the prompt."""

    def line(ask: Ask) -> Line:
        return next((script for key, script in scripts if key in ask.prompt), otherwise)(ask)

    return line


def replies(*rules: tuple[str, str], otherwise: str = "nothing") -> Script:
    """Script: the text of the first rule whose words are in the prompt."""

    def line(ask: Ask) -> Line:
        found = (text for words, text in rules if words in ask.prompt)
        return Line(next(found, otherwise))

    return line
