"""The forms in which chat templates write the marks of a thought, whatever the model."""

import re

from tts.answers.thought_marks import KNOWN, Marks

_TAG = r"<(?!/)\|?[\w:.-]*(?:think|thought|reason|inner_prefix)[\w:.-]*\|?>"
_OPENING = re.compile(
    rf"{_TAG}|\[THINK\]|◁think▷|<\|channel>thought\n|<\|open\|>\s*think\s*<\|sep\|>", re.IGNORECASE
)
_BRACKETED = re.compile(r"<[^<>\s]+>|\[[^\[\]\n]+\]|◁[^◁▷]+▷")
_ANSWER_TAG = re.compile(r"<(response|answer|solution)>\W*</\1>")
_TURNS = (
    ("<|open|>", "<|close|>"),
    ("START", "END"),
    ("start", "end"),
    ("begin", "end"),
    ("prefix", "suffix"),
)


def last_opening(text: str) -> str:
    """Return the last opening mark in a text; empty if there is none."""
    found = _OPENING.findall(text)
    return found[-1] if found else ""


def first_bracketed(text: str) -> str:
    """Return the first tag or token in a text; its first line if there is none."""
    found = _BRACKETED.search(text)
    return found[0] if found else text.strip().partition("\n")[0]


def counterpart(opening: str) -> str:
    """Return the closing mark that goes with an opening one, by its form."""
    if opening == "<|channel>thought\n":
        return "<channel|>"
    for begin, end in _TURNS:
        if begin in opening:
            return opening.replace(begin, end)
    first = 2 if opening.startswith("<|") else 1
    return f"{opening[:first]}/{opening[first:]}"


def find_pair(text: str) -> Marks | None:
    """Return the marks that a text shows with nothing but space between them."""
    for found in _OPENING.finditer(text):
        closing = counterpart(found[0])
        if text[found.end() :].lstrip().startswith(closing):
            return Marks(found[0], closing)
    return None


def find_told(text: str) -> Marks | None:
    """Return the marks that a system prompt tells the model to write."""
    return next((m for m in KNOWN if m.opening in text and m.closing in text), None)


def answer_tag(text: str) -> str:
    """Return the tag that a system prompt wants before the answer; empty if it wants none."""
    found = _ANSWER_TAG.search(text)
    return f"<{found[1]}>" if found else ""
