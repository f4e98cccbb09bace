"""The final answer of a text: find it, bring it into canonical form, group equal ones."""

import re

from tts.answers_canonical import canonical_form, is_number
from tts.answers_checker import AnswerChecker, CheckerStats
from tts.types import AnswerType

__all__ = [
    "AnswerChecker",
    "CheckerStats",
    "Groups",
    "canonical_form",
    "extract_answer",
]

_MAX_CAPTURE_CHARS = 400
_MAX_ALONE_CHARS = 100
_MAX_ANNOUNCEMENTS = 20
_BOX = re.compile(r"\\f?boxed\s*\{")
_BRACE = re.compile(r"(?<!\\)[{}]")
_BETWEEN_BOXES = re.compile(
    r"(?:[ \t\r\n,;$&]|\\text\s*\{[^{}]{0,40}\}|\\q?quad|\\[ ,;()\[\]\\]|\band\b|\bor\b"
    r"|[A-Za-z](?:_\{?\w\}?)?\s*=)*"
)
_GSM8K = re.compile(r"####[ \t]*(\S[^\n]*)")
_ANNOUNCED = re.compile(
    r"(?:\banswers?|答案|\br[ée]ponse|\brespuesta|\bantwort)"
    r"(?:\**[ \t]*(?=\$|\\[(\[])|[*\s]*\n"
    r"|[^\n.:=$\\]{0,60}?(?:\b(?:is|are|be|equals)\b|[:=\N{FULLWIDTH COLON}是为]))"
    r"[ \t]*:?[*\s]*",
    re.IGNORECASE,
)
_SPAN = re.compile(
    r"(?:\$\$.+?(?<!\\)\$\$|\$.+?(?<!\\)\$|\\\(.+?\\\)|\\\[.+?\\\])"
    r"(?:\s*(?:,|and|or|,\s*and)\s*(?:\$.+?(?<!\\)\$|\\\(.+?\\\)))*",
    re.DOTALL,
)
_SENTENCE_END = re.compile(
    r"\n|<\||[.!?。](?=\s|$|\*|\")|,?\s(?:because|since|which|when|where|so)\b"
)
_CLAUSE = re.compile(r".*(?:\b(?:is|are|equals|be)\b|(?<![<>!])=)\s*(?=\S)", re.DOTALL)
_NUMBER_IN_PROSE = re.compile(r"(?<![\w.])-?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?(?![\w/])%?")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_FENCE = re.compile(r"```[^\n`]*\n")
_CHOICE = re.compile(r"\(?([A-J])\)?(?:[).:,\s].*)?", re.DOTALL)
_ROLE_WORDS = re.compile(r"^(?:option|choice|answer)\s+", re.IGNORECASE)


def extract_answer(text: str, answer_type: AnswerType) -> str | None:
    r"""Return the final answer that a text announces, as it wrote it; None when it announces none.

    Tried in this order, on what follows `</think>` first and then on the whole text:

    1. the last balanced `\boxed{...}`; adjacent boxes are one list ("1, 2"), an empty or
       unbalanced box is none;
    2. the last `<answer>...</answer>`, then the last GSM8K line `#### 42`;
    3. the last "answer is ...", "Answer: ...", up to the end of the sentence, and of a sentence
       in prose only its formula, what follows its last "is", or its only number;
    4. an answer alone: a text that is one line of at most 100 characters without prose. For
       "integer" and "choice" a last line that is nothing but the integer or the letter also counts.

    A number somewhere in a text is never an answer: an unfinished text has none. "code" is the
    last closed fenced block. Runs in time linear in the length of the text.
    """
    if answer_type == "code":
        return _last_fence(text)
    _, think, tail = text.rpartition("</think>")
    for part in (tail, text) if think else (text,):
        found = _find(part, answer_type)
        if found is not None:
            return found
    return None


class Groups:
    """Classes of equal answers, filled one by one (`tts.protocols.AnswerGroups`).

    An answer belongs to the class that holds its canonical form, or else to the first class, in
    index order, whose representative it equals. Equality by a checker is no partition, so this
    order is what makes classes well defined. A missing answer is in no class.
    """

    def __init__(self, checker: AnswerChecker, answer_type: AnswerType) -> None:
        """Start without classes."""
        self._checker = checker
        self._answer_type = answer_type
        self._texts: list[str] = []
        self._canonicals: list[str] = []
        self._index_by_canonical: dict[str, int] = {}
        self._not_numbers: list[int] = []

    async def add(self, answer: str | None) -> int | None:
        """Return the class index of an answer, new or known; None for a missing or empty one."""
        canonical = "" if answer is None else canonical_form(answer, self._answer_type)
        if answer is None or not canonical:
            return None
        index = self._index_by_canonical.get(canonical)
        if index is None:
            index = await self._equal_class(canonical)
            self._index_by_canonical[canonical] = index
            if index == len(self._texts):
                self._open_class(answer, canonical)
        return index

    def text(self, index: int) -> str:
        """Return the class's representative: the first answer that was added to it."""
        return self._texts[index]

    def canonical(self, index: int) -> str:
        """Return the canonical form of the class's representative."""
        return self._canonicals[index]

    def __len__(self) -> int:
        return len(self._texts)

    async def _equal_class(self, canonical: str) -> int:
        """Return the first class whose representative is equal, or the index of a new class.

        The list may grow while a comparison is awaited; the loop then sees the new classes too,
        and nothing is awaited between the last look and the caller's entry.
        """
        compares_numbers = not is_number(canonical)
        position = 0
        while position < len(self._texts if compares_numbers else self._not_numbers):
            index = position if compares_numbers else self._not_numbers[position]
            known = self._canonicals[index]
            if await self._checker.aequal(known, canonical, self._answer_type):
                return index
            position += 1
        return self._index_by_canonical.get(canonical, len(self._texts))

    def _open_class(self, answer: str, canonical: str) -> None:
        if not is_number(canonical):
            self._not_numbers.append(len(self._texts))
        self._texts.append(answer)
        self._canonicals.append(canonical)


def _find(text: str, answer_type: AnswerType) -> str | None:
    boxed = _last_boxed(text)
    if boxed is not None:
        return _shape(boxed, answer_type) or boxed
    for found in (_last_tagged(text), _last_line_mark(text)):
        if found:
            return _shape(found, answer_type) or found
    announced = _last_announced(text, answer_type)
    return announced if announced is not None else _alone(text, answer_type)


def _shape(answer: str, answer_type: AnswerType) -> str | None:
    """Bring an announced answer into its type's shape; None when it is not of that type."""
    if answer_type == "choice":
        letter = _CHOICE.fullmatch(_ROLE_WORDS.sub("", canonical_form(answer, "math")))
        return letter[1] if letter else None
    if answer_type == "integer":
        canonical = canonical_form(answer, "integer")
        return canonical if is_number(canonical) and "." not in canonical else None
    return answer


def _last_boxed(text: str) -> str | None:
    """Return the content of the last box, or of the last run of adjacent boxes."""
    boxes = _outer_boxes(text)
    contents: list[str] = []
    start_of_next = None
    for start, content_start, end in reversed(boxes):
        content = text[content_start : end - 1].strip()
        if start_of_next is not None and not _joins(text[end:start_of_next]):
            break
        if content:
            contents.append(content)
            start_of_next = start
    return ", ".join(dict.fromkeys(reversed(contents))) or None


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


def _last_tagged(text: str) -> str | None:
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, max(end, 0))
    return text[start + len("<answer>") : end].strip() or None if start >= 0 else None


def _last_line_mark(text: str) -> str | None:
    marks = _GSM8K.findall(text)
    return marks[-1].strip() if marks else None


def _last_fence(text: str) -> str | None:
    pieces = text.split("```")
    # Pieces 1, 3, ... lie inside fences; an even number of pieces means that the last is open.
    inside = pieces[1:-1:2] if len(pieces) % 2 else pieces[1:-2:2]
    blocks = [piece.partition("\n")[2].strip("\n") for piece in inside]
    return next((block for block in reversed(blocks) if block.strip()), None)


def _last_announced(text: str, answer_type: AnswerType) -> str | None:
    announcements = list(_ANNOUNCED.finditer(text))[-_MAX_ANNOUNCEMENTS:]
    for match in reversed(announcements):
        rest = text[match.end() : match.end() + _MAX_CAPTURE_CHARS]
        answer = _capture(rest, answer_type)
        if answer:
            return answer
    return None


def _capture(rest: str, answer_type: AnswerType) -> str | None:
    """Return the answer at the start of what follows an announcement."""
    if span := _SPAN.match(rest):
        return _shape(span[0], answer_type) or (None if answer_type == "choice" else span[0])
    end = _SENTENCE_END.search(rest)
    sentence = (rest[: end.start()] if end else rest).strip().strip("*").strip(' ."')
    if answer_type in ("free", "choice", "countdown"):
        return _shape(sentence, answer_type)
    if _is_prose(sentence):
        sentence = _formula_in(sentence)
    return (_shape(sentence, answer_type) or sentence) or None


def _formula_in(sentence: str) -> str:
    """Return what a sentence in prose says last after "is", or its only formula or number."""
    clause = _CLAUSE.match(sentence)
    if clause and not _is_prose(sentence[clause.end() :]):
        return sentence[clause.end() :]
    for pattern in (_SPAN, _NUMBER_IN_PROSE):
        found = [match[0] for match in pattern.finditer(sentence)]
        if len(found) == 1:
            return found[0]
    return ""


def _is_prose(text: str) -> bool:
    return len(_WORD.findall(text)) > 3


def _alone(text: str, answer_type: AnswerType) -> str | None:
    lines = (
        text.split("\n")
        if len(text) <= _MAX_CAPTURE_CHARS
        else text[-_MAX_CAPTURE_CHARS:].split("\n")
    )
    last = next((line.strip(" *\t\r") for line in reversed(lines) if line.strip()), "")
    if answer_type in ("integer", "choice"):
        return _shape(last, answer_type)
    whole = text.strip()
    is_line = len(whole) <= _MAX_ALONE_CHARS and "\n" not in whole
    return whole if whole and is_line and not _is_prose(whole) else None
