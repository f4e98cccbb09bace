"""Find the final answer in a text."""

import re

from tts.answers.canonical import canonical_form, is_number
from tts.types import AnswerType

_MAX_CAPTURE_CHARS = 400
_MAX_ALONE_CHARS = 200
_MAX_PROSE_WORDS = 2
_MAX_ANNOUNCEMENTS = 20
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
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
    r"\n|<\||[.!?](?=\s|$|\*|\")|。|,?\s(?:because|since|which|when|where|so)\b"
)
_SENTENCE_START = re.compile(r"[.!?]\**\s+|[。\n]\s*|\A")
_CLAUSE = re.compile(r".*(?:\b(?:is|are|equals|be)\b|(?<![<>!])=)\s*(?=\S)", re.DOTALL)
_CONCLUDES = re.compile(
    r"\W*(?:therefore|thus|hence|so|in conclusion|因此|所以|donc|en conclusion|por lo tanto|also)"
    r"(?![A-Za-z])",
    re.IGNORECASE,
)
_TRAILER = re.compile(r"(?:\s*<\|[^<>]*(?:>\s*\w*)?|\s*I hope it is correct\.)*\s*\Z")
_NUMBER_IN_PROSE = re.compile(
    r"(?<![A-Za-z\d_.])-?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?(?![A-Za-z\d_/])%?"
)
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_FIGURE = re.compile(r"[\d\\$]")
_SAID_AT_END = re.compile(r"[A-Za-z]{2,}[^$\\]*(?:\bis|\bare|:)\s*(\$[^$]+\$|\\\(.+\\\))\Z")
_LEAD_IN = re.compile(
    r"(?:(?:also|just|simply|then|thus|therefore|indeed|exactly|approximately|about|equal to|found"
    r"|given|by|to be)\s+)+",
    re.IGNORECASE,
)
_BOUND = re.compile(r"(?:not|less|more|greater|larger|smaller|at|between)\b", re.IGNORECASE)
_NO_ANSWER = re.compile(
    r"(?:the|an?|not|no|that|this|to|in|of|less|more|greater|larger|smaller|at|between|correct"
    r"|incorrect|wrong|right|true that|clear|unclear|unique|obvious|simple|likely|probably|known"
    r"|unknown|given|found|different|same)\b(?![+\-*/^=_])",
    re.IGNORECASE,
)
_WORD = re.compile(r"(?<![\\{A-Za-z])[A-Za-z]{2,}")
_CHOICE = re.compile(r"\(?([A-J])\)?(?:[).:,\s].*)?", re.DOTALL)
_CHOICE_ALONE = re.compile(r"[*(\[\s]*[A-J][\])*.:\s]*")
_ROLE_WORDS = re.compile(r"^(?:option|choice|answer)\s+", re.IGNORECASE)


def extract_answer(text: str, answer_type: AnswerType) -> str | None:
    r"""Return the final answer that a text announces, as it wrote it; None when it announces none.

    Tried in this order; 1 to 3 on what follows `</think>`, then on the whole text, and 4 and 5 on
    what follows `</think>`:

    1. the last balanced `\boxed{...}`; adjacent boxes are one list ("1, 2"), an empty or
       unbalanced box is none;
    2. the last `<answer>...</answer>`, then the last GSM8K line `#### 42`;
    3. the last "answer is ...", "Answer: ...", up to the end of the sentence;
    4. a last sentence that ends in a full stop and begins with "therefore", "so" or the like;
    5. an answer alone: a text that is one line of at most 200 characters and no prose, or that is
       a single sentence; for "integer" and "choice" also a last line that is the integer or the
       letter and nothing else.

    Of a sentence in prose (3 to 5) only what follows its last "is", its only formula or its only
    number is taken. Beyond this rule a number somewhere in a text is never an answer, so that an
    unfinished text has none. "code" is the last closed fenced block. "integer" gives the bare
    number where the announced answer is one, else the announced text (a wrong answer, but one).

    Runs in time linear in the length of the text.
    """
    if answer_type == "code":
        return _last_fence(text)
    tail = text.rpartition("</think>")[2]
    found = _marked(tail, answer_type) or _marked(text, answer_type)
    return found or _concluded(tail, answer_type) or _alone(tail, answer_type)


def _marked(text: str, answer_type: AnswerType) -> str | None:
    for marked in (_last_boxed(text), _last_tagged(text), _last_line_mark(text)):
        if marked:
            return _shape(marked, answer_type) or marked
    return _last_announced(text, answer_type)


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
    sentence = (rest[: end.start()] if end else rest).strip(' *."\t\r')
    if answer_type in ("free", "choice", "countdown"):
        return _shape(sentence, answer_type)
    sentence = _LEAD_IN.sub("", sentence)
    if sentence.endswith(")") and sentence.count(")") > sentence.count("("):
        sentence = sentence[:-1]
    if _is_prose(sentence):
        sentence = _formula_in(sentence)
    elif _NO_ANSWER.match(sentence):
        return None
    return (_shape(sentence, answer_type) or sentence) or None


def _concluded(text: str, answer_type: AnswerType) -> str | None:
    """Return what a complete last sentence concludes, or says when it is the only one."""
    window = text[-_MAX_CAPTURE_CHARS:]
    window = _TRAILER.sub("", window)
    if answer_type not in ("math", "integer") or not window.endswith((".", "。")):
        return None
    window = window[:-1]
    start = max(match.end() for match in _SENTENCE_START.finditer(window))
    is_whole = start == 0 and len(text) <= _MAX_CAPTURE_CHARS
    if not (is_whole or _CONCLUDES.match(window, start)):
        return None
    found = _formula_in(window[start:])
    return _shape(found, answer_type) if answer_type == "integer" else found or None


def _formula_in(sentence: str) -> str:
    """Return the answer in a sentence of prose: in bold, after "is", or its only formula."""
    clause = _CLAUSE.match(sentence)
    said = sentence[clause.end() :].strip(" *") if clause else ""
    said = "" if _is_prose(said) else said
    bold = [match[1] for match in _BOLD.finditer(sentence)]
    if len(bold) == 1 and not _is_prose(bold[0]):
        return bold[0]
    if _BOUND.match(said):
        return ""
    if _NO_ANSWER.match(said):
        said = ""
    if _FIGURE.search(said):
        return said
    for pattern in (_SPAN, _NUMBER_IN_PROSE):
        found = [match[0] for match in pattern.finditer(sentence)]
        if found:
            return found[0] if len(found) == 1 else ""
    return said


def _is_prose(text: str) -> bool:
    return len(_WORD.findall(text)) > _MAX_PROSE_WORDS


def _alone(text: str, answer_type: AnswerType) -> str | None:
    if answer_type in ("integer", "choice"):
        last = text[-_MAX_CAPTURE_CHARS:].rstrip().rpartition("\n")
        is_line = last[1] or len(text) <= _MAX_CAPTURE_CHARS
        if answer_type == "choice" and not _CHOICE_ALONE.fullmatch(last[2]):
            return None
        return _shape(last[2].strip(" *"), answer_type) if is_line else None
    whole = text.strip()
    if not whole or len(whole) > _MAX_ALONE_CHARS or "\n" in whole:
        return None
    if said := _SAID_AT_END.search(whole):
        return said[1]
    is_sentence = _is_prose(whole) or (_WORD.match(whole) and "$" in whole)
    return None if is_sentence else whole
