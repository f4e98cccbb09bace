r"""Marked answers: boxes, tags, the line of GSM8K, fenced code; and where a text is its own."""

import re
from collections.abc import Callable

_BOX = re.compile(r"\\(?:boxed|fbox|framebox(?:\s*\[[^\]\n]{0,20}\]){0,2})\s*\{")
_BOX_WITHOUT_BACKSLASH = re.compile(r"(?<![A-Za-z\\])boxed(?=\s*\{)")
# TeX would box the next token alone, and no model means that.
_BARE_BOX = re.compile(
    r"\\(boxed|fbox)\s*(-?\\?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?(?:\\?%)?|-?\\[dt]?frac\{[^{}]*\}\{[^{}]*\}"
    r"|-?\d*\\sqrt\{[^{}]*\}|\([^()\n]{1,40}\)|[A-Za-z](?![A-Za-z]))"
)
_BRACE = re.compile(r"(?<!\\)[{}]")
_BETWEEN_BOXES = re.compile(
    r"(?:[ \t\r\n,;$&]|\\text\s*\{[^{}]{0,40}\}|\\q?quad|\\[ ,;()\[\]\\]|\band\b|\bor\b"
    r"|[A-Za-z](?:_\{?\w\}?)?\s*=)*"
)
_TAG = re.compile(
    r"<(/?)(?:final[_ ]?answer|answer|ans)\s*>|\[(/?)(?:final )?answer\]|<\|(begin|end)_of_box\|>",
    re.IGNORECASE,
)
_LINE_MARK = re.compile(
    r"(?<!#)####(?!#)[ \t]*(?:\**(?:final )?answer\**:?\**[ \t]*)?(\S[^\n]*)", re.I
)
# A heading of the fourth level is written alike.
_FIGURE_FIRST = re.compile(r"\**(?:[-+±$€£¥\\(\[{<.\d√π∞]|[A-Za-z](?![A-Za-z]))")
_NUMBERED_HEADING = re.compile(r"\**\d+[.):]\**\s+\**[A-Z][a-z]")
_FURTHER = re.compile(
    r"^[ \t*#>_-]{0,8}(?:(?:question|problem|exercise|example|instruction|user|human|query)"
    r"[ \t]*(?:\d+\b[ \t]*[:.]?|\**:)|q[ \t]*\d*[ \t]*:)"
    r"|<\|(?:im_start|im_end|eot_id|endoftext|end_of_text|start_header_id|user|end)\|>|\[INST\]|</s>"
    r"|<end_of_turn>",
    re.IGNORECASE | re.MULTILINE,
)
_ROWS = re.compile(r"(?:^[ \t|]*\d(?:[ \t|,]*\d)*[ \t|]*(?:\n|\Z)){2,}", re.MULTILINE)
_NUMBERED = re.compile(r"\d")


def own_part(text: str, is_answered: Callable[[str], bool]) -> str:
    """Return a text up to a further question that it invents once it has answered.

    Questions that a text asks itself on its way ("Question 1: ...") are its own.

    Args:
        text: What follows the thought.
        is_answered: Tells whether a beginning of the text holds an answer.
    """
    for further in _FURTHER.finditer(text):
        before = text[: further.start()]
        if before.strip():
            return before if is_answered(before) else text
        if _NUMBERED.search(further[0]):
            return text
    return text


def last_boxed(text: str) -> str | None:
    """Return the content of the last box, or of the last run of adjacent boxes."""
    if "box" not in text and "\x08oxed" not in text:
        return None
    text = text.replace("\x08oxed", "\\boxed")  # "\b" read as a backspace
    text = _BOX_WITHOUT_BACKSLASH.sub(r"\\boxed", text)
    text = _BARE_BOX.sub(r"\\\1{\2}", text)
    contents: list[str] = []
    start_of_next = None
    for start, content_start, end in reversed(_outer_boxes(text)):
        content = text[content_start : end - 1].strip()
        if start_of_next is not None and not _joins(text[end:start_of_next]):
            break
        if content:
            contents.append(content)
            start_of_next = start
    return ", ".join(dict.fromkeys(reversed(contents))) or None


def last_tagged(text: str) -> str | None:
    """Return what stands between the last pair of tags that announce an answer."""
    if "</" not in text and "[/" not in text and "_of_box" not in text:
        return None
    found, start = None, None
    for tag in _TAG.finditer(text):
        is_end = tag[1] == "/" or tag[2] == "/" or tag[3] == "end"
        if not is_end:
            start = tag.end()
        elif start is not None:
            found, start = text[start : tag.start()].strip(), None
    return found or None


def last_line_mark(text: str) -> str | None:
    """Return the answer after `####`; after the first if a text then invents another question."""
    if "####" not in text:
        return None
    found, end = None, 0
    for mark in _LINE_MARK.finditer(text):
        answer = mark[1].strip()
        if not _FIGURE_FIRST.match(answer) or _NUMBERED_HEADING.match(answer):
            continue
        if found is not None and "?" in text[end : mark.start()]:
            break
        found, end = answer, mark.end()
    return found


def last_fence(text: str) -> str | None:
    """Return the last closed block of code that is not empty."""
    pieces = text.split("```")
    # Pieces 1, 3, ... lie inside fences; an even number of pieces means that the last is open.
    inside = pieces[1:-1:2] if len(pieces) % 2 else pieces[1:-2:2]
    blocks = [piece.partition("\n")[2].strip("\n") for piece in inside]
    return next((block for block in reversed(blocks) if block.strip()), None)


def last_rows(text: str) -> str | None:
    """Return the last lines of nothing but digits, two at least."""
    found = _ROWS.findall(text)
    return found[-1].strip() if found else None


def _joins(gap: str) -> bool:
    return len(gap) <= 80 and gap.count("\n") < 2 and _BETWEEN_BOXES.fullmatch(gap) is not None


def _outer_boxes(text: str) -> list[tuple[int, int, int]]:
    """Return (start, start of content, end) of each balanced box that lies in no other."""
    content_starts = {match.end(): match.start() for match in _BOX.finditer(text)}
    if not content_starts:
        return []
    opened: list[int] = []
    boxes: list[tuple[int, int, int]] = []
    for brace in _BRACE.finditer(text, min(content_starts) - 1):
        if brace[0] == "{":
            opened.append(brace.end())
        elif opened:
            content_start = opened.pop()
            if content_start in content_starts:
                start = content_starts[content_start]
                while boxes and boxes[-1][0] > start:
                    boxes.pop()
                boxes.append((start, content_start, brace.end()))
    return boxes
