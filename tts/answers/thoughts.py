"""Where a model's thought ends and its solution begins, in the marks of published models."""

import re

from tts.answers.thought_marks import KNOWN

_NAMES = r"(?:think|thought|reason|scratchpad|analysis|reflection)(?:ing|s|_\w+)?"
_ENDS = (
    rf"</(?:[\w.-]+[:|])?{_NAMES}(?::[\w-]+)?\s*>",  # </think>, </seed:think>, </mm:think>
    r"\[/(?:THINK(?:ING)?|THOUGHT|REASON(?:ING)?)\]",
    r"<\|(?:/?end_?think(?:ing)?|/think(?:ing)?|inner_suffix)\|>",
    r"<\|close\|>\s*think\s*<\|sep\|>",  # Kimi K3
    r"<\|channel\|>\s*final\b[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>",  # gpt-oss
    r"Here(?:'s| is) my response:",
)
_STARTS = (
    rf"<(?:[\w.-]+[:|])?{_NAMES}(?::[\w-]+)?\s*>",
    r"\[(?:THINK(?:ING)?|THOUGHT|REASON(?:ING)?)\]",
    r"<\|(?:begin_?think(?:ing)?|think(?:ing)?|inner_prefix)\|>",
    r"<\|channel>",
    r"<\|open\|>\s*think\s*<\|sep\|>",
    r"<\|channel\|>\s*(?:analysis|commentary)\b[^<]*<\|message\|>",
    r"Here(?:'s| is) my thought process:",
)


def _any(forms: tuple[str, ...], marks: list[str]) -> re.Pattern[str]:
    return re.compile("|".join((*forms, *map(re.escape, filter(None, marks)))), re.IGNORECASE)


_END = _any(_ENDS, [marks.closing for marks in KNOWN])
_START = _any(_STARTS, [marks.opening for marks in KNOWN])
_END_SIGNS = ("</", "[/", "◁/", "<|", "<channel|>", "my response:", "[BEGIN FINAL")
# What a gpt-oss text looks like once its special tokens are gone.
_BARE_HARMONY = re.compile(r"\s*(?:assistant)?analysis(?=[A-Z\n\"'])")
_BARE_FINAL = re.compile(r"assistant\s*final(?=[A-Z\s\d\\$*\"'(\[{-])")
_AROUND = (
    r"(?:<\|(?:return|end|eot_id|im_end|endoftext|end_of_text|(?:begin|end)_of_solution"
    r"|(?:START|END)_RESPONSE)\|>|</?(?:response|solution|output)>|</s>|<turn\|>|<end_of_turn>"
    r"|\[END FINAL RESPONSE\]|\s)+"
)
_BEFORE = re.compile(_AROUND)
_AFTER = re.compile(rf"{_AROUND}\Z")
_LONGEST_END = 200


def after_thought(text: str) -> str:
    """Return what follows the last thought, without the marks around it; all if none has ended."""
    return _unwrap(text[_end_of_thought(text) :])


def solution_of(text: str) -> str:
    """Return what follows the thought; empty where a text breaks off within it."""
    end = _end_of_thought(text)
    is_within = _START.search(text, end) is not None
    is_within = is_within or (end == 0 and _BARE_HARMONY.match(text) is not None)
    return "" if is_within else _unwrap(text[end:])


def _end_of_thought(text: str) -> int:
    if any(sign in text for sign in _END_SIGNS) and (end := _last(_END, text)):
        return end
    return _last(_BARE_FINAL, text) if _BARE_HARMONY.match(text) else 0


def _last(pattern: re.Pattern[str], text: str) -> int:
    """Return where the last match ends; 0 if there is none."""
    end = 0
    for match in pattern.finditer(text):
        end = match.end()
    return end


def _unwrap(text: str) -> str:
    if before := _BEFORE.match(text):
        text = text[before.end() :]
    after = _AFTER.search(text, max(0, len(text) - _LONGEST_END))
    return text[: after.start()] if after else text
