"""Answers in sentences: announced ("The answer is ..."), concluded ("So ..."), or alone."""

import re
from collections.abc import Sequence
from functools import lru_cache

from tts.answers.words import is_words
from tts.types import AnswerType

_MAX_CAPTURE_CHARS = 400
_MAX_ALONE_CHARS = 200
_MAX_PROSE_WORDS = 2
_MAX_ANNOUNCEMENTS = 20
# How an answer is announced in English, French, Spanish, German, Italian, Portuguese, Dutch,
# Russian, Ukrainian, Polish, Czech, Turkish, the Nordic languages, Greek, Vietnamese and
# Indonesian, and in scripts without capitals or without spaces between words.
_NOUNS = (
    *("answer", "réponse", "reponse", "respuesta", "antwort", "ergebnis", "risposta", "resposta"),
    *("antwoord", "ответ", "відповідь", "odpowiedź", "odpověď", "cevap", "yanıt", "svar"),
    *("vastaus", "απάντηση", "jawaban", "đáp án", "đáp số"),
)
_OTHER_NOUNS = (
    *(
        "答案",
        "答え",
        "解答",
        "答",
        "정답",
        "답",
        "คำตอบ",
        "الجواب",
        "الإجابة",
        "پاسخ",
        "תשובה",
        "उत्तर",
    ),
)
_LINK = (
    r"(?:\b(?:is|are|be|equals|est|es|ist|lautet|beträgt|è|é|jest|wynosi|равен|равно|равна|är|er)\b"
    r"|[:=\N{FULLWIDTH COLON}是为為は은는])"
)
_SPAN = re.compile(
    r"(?:\$\$.+?(?<!\\)\$\$|\$.+?(?<!\\)\$|\\\(.+?\\\)|\\\[.+?\\\])"
    r"(?:\s*(?:,|and|or|,\s*and)\s*(?:\$.+?(?<!\\)\$|\\\(.+?\\\)))*",
    re.DOTALL,
)
_SENTENCE_END = re.compile(
    r"\n|<\||[.!?](?=\s|$|\*|\")|[。！।]|,?\s(?:because|since|which|when|where|so)\b"
)
_SENTENCE_START = re.compile(r"[.!?](?:\*+|\$+|\\[)\]])?\s+|[。！।\n]\s*|\A")
_CLAUSE = re.compile(r".*(?:\b(?:is|are|equals|be)\b|(?<![<>!])=)\s*(?=\S)", re.DOTALL)
_CONCLUDES = re.compile(
    r"\W*(?:therefore|thus|hence|so|in conclusion|因此|所以|donc|en conclusion|por lo tanto|also)"
    r"(?![A-Za-z])",
    re.IGNORECASE,
)
_CONCLUDES_WITHIN = re.compile(
    r"\b(?:is|are|est|sont|ist|sind|es|son|è|sono|é|são)\s+(?:therefore|thus|hence|donc|alors|also"
    r"|somit|entonces|quindi|dunque|portanto|então)\b",
    re.IGNORECASE,
)
_TRAILER = re.compile(r"(?:\s*<\|[^<>]*(?:>\s*\w*)?|\s*I hope it is correct\.)*\s*\Z")
_FULL_STOP = re.compile(r"[.。！।]\**\Z|[^\s*]\*\*\Z")
_COPULA_AT_END = re.compile(r"\s*(?:です|である|だ|입니다|이다)\Z")
_NUMBER_IN_PROSE = re.compile(
    r"(?<![A-Za-z\d_.])-?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?(?![A-Za-z\d_/])%?"
)
_PRICE = re.compile(r"[$€£]\s?\d[\d,]*(?:\.\d+)?|(?<![\d.,])\d[\d,]*(?:\.\d+)?\s?[$€£]")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_FIGURE = re.compile(r"[\d\\$]")
_SAID_AT_END = re.compile(r"[A-Za-z]{2,}[^$\\]*(?:\bis|\bare|:)\s*(\$[^$]+\$|\\\(.+\\\))\Z")
_NUMBER_AT_END = re.compile(
    r"(?:\b(?:is|are|est|es|ist)\s|['’]s\s|=)\s*(?:de\s+)?"
    r"([-$€£]{0,2}\d[\d,]*(?:\.\d+)?(?:/\d+)?\s?(?:[%€$£]|(?:[ckm]?m|[km]?g|ml|[lsh])[²³]?)?)\Z"
)
_LABEL = re.compile(r"\**(?:A|[^\W\d_][^\n:：\d$\\=]{1,30}[^\s\d$\\=])\**\s*[:：]\**\s*(?=\S)")
_LEAD_IN = re.compile(
    r"(?:(?:also|just|simply|then|thus|therefore|indeed|exactly|approximately|about|equal to|found"
    r"|given|by|to be)\s+)+",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"(?:not|less|more|greater|larger|smaller|at|between|divisible|a multiple|congruent|close"
    r"|of the form|such that)\b",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(
    r"(?:the|an?|not|no|that|this|to|in|of|less|more|greater|larger|smaller|at|between|correct"
    r"|incorrect|wrong|right|true that|clear|unclear|unique|obvious|simple|likely|probably|known"
    r"|unknown|given|found|different|same|divisible|close|congruent|here|below|above|as follows"
    r"|it|I (?:don|do|can|am|have|think|believe)|we|you)\b(?![+\-*/^=_])",
    re.IGNORECASE,
)
_WORD = re.compile(r"(?<![\\{A-Za-z])[A-Za-z]{2,}")
_FORMULA_WORD = re.compile(
    r"(?:and|or|arc)?(?:sinh?|cosh?|tanh?|cot|sec|csc|ln|log|exp|sqrt|pi|mod|gcd|lcm|min|max|inf|infty"
    r"|infinity|frac|times|and|or|(?:and|or)[a-z])",
    re.IGNORECASE,
)
_AFTER_NUMBER = re.compile(r"(?<=[\d%}])\s*(?:[A-Za-z²³]+\.?(?: [A-Za-z]+){0,2})?\.?\Z")
_BRACED = re.compile(r"\{[^{}]*\}|\$[^$]*\$|\\\(.*?\\\)")


def announced(text: str, answer_type: AnswerType) -> str | None:
    """Return what the last readable announcement of a text announces."""
    lowered = text.lower()
    nouns = tuple(noun for noun in (*_NOUNS, *_OTHER_NOUNS) if noun in lowered)
    if not nouns:
        return None
    for match in reversed(list(_announcement(nouns).finditer(text))[-_MAX_ANNOUNCEMENTS:]):
        rest = text[match.end() : match.end() + _MAX_CAPTURE_CHARS]
        if answer := _capture(rest, answer_type):
            return answer
    return None


@lru_cache(maxsize=64)
def _announcement(nouns: Sequence[str]) -> re.Pattern[str]:
    """Return what matches an announcement by one of these nouns; the fewer, the faster."""
    words = "|".join(noun if noun in _OTHER_NOUNS else rf"\b{noun}" for noun in nouns)
    return re.compile(
        rf"(?:{words})(?:\w{{0,2}}\b)?"
        rf"(?:\**[ \t]*(?=\$|\\[(\[])|[*\s]*\n|[^\n.:=$\\]{{0,60}}?{_LINK})[ \t]*:?[*\s]*",
        re.IGNORECASE,
    )


def concluded(text: str) -> str | None:
    """Return what a complete last sentence concludes or says in bold, or says as the only one."""
    window = _TRAILER.sub("", text[-_MAX_CAPTURE_CHARS:])
    if not _FULL_STOP.search(window):
        return None
    window = window.rstrip(".。！।")
    start = max(match.end() for match in _SENTENCE_START.finditer(window))
    sentence = window[start:]
    is_whole = start == 0 and len(text) <= _MAX_CAPTURE_CHARS
    if is_whole or _CONCLUDES.match(sentence) or _CONCLUDES_WITHIN.search(sentence):
        return _formula_in(sentence) or None
    bold = {match[1].strip(" .") for match in _BOLD.finditer(sentence)}
    return bold.pop() if len(bold) == 1 and _is_figure(*bold) else None


def bare_answer(text: str) -> str | None:
    """Return a text that is an answer and nothing else: one line of mathematics, no prose."""
    whole = text.strip()
    if not whole or len(whole) > _MAX_ALONE_CHARS or "\n" in whole:
        return None
    if said := _SAID_AT_END.search(whole):
        return said[1]
    if _is_prose(whole) and (number := _NUMBER_AT_END.search(whole)):
        return number[1]
    if label := _LABEL.match(whole):
        whole = whole[label.end() :].strip("* ")
    if lead_in := _LEAD_IN.match(whole):
        whole = whole[lead_in.end() :]
    is_whole = whole.count("{") == whole.count("}")
    return whole if is_whole and _is_mathematics(whole) else None


def _capture(rest: str, answer_type: AnswerType) -> str | None:
    """Return the answer at the start of what follows an announcement."""
    if span := _SPAN.match(rest):
        return span[0]
    end = _SENTENCE_END.search(rest)
    sentence = (rest[: end.start()] if end else rest).strip(' *."\t\r')
    sentence = _COPULA_AT_END.sub("", sentence)
    if answer_type == "countdown":
        return sentence or None
    sentence = _LEAD_IN.sub("", sentence)
    if sentence.endswith(")") and sentence.count(")") > sentence.count("("):
        sentence = sentence[:-1]
    if _is_prose(sentence):
        sentence = _formula_in(sentence)
    elif _NO_ANSWER.match(sentence):
        return None
    return sentence or None


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
        if len(found) == 1:
            return found[0]
        if found:
            # "She will have $220 left in 12 months" is about the money.
            prices = [] if _SPAN.search(sentence) else _PRICE.findall(sentence)
            return prices[0] if len(prices) == 1 else ""
    return said


def _is_prose(text: str) -> bool:
    return len(_WORD.findall(text)) > _MAX_PROSE_WORDS


def _is_figure(text: str) -> bool:
    return _FIGURE.search(text) is not None and _is_mathematics(text)


def _is_mathematics(text: str) -> bool:
    """Tell mathematics, a unit after it included, from words: "5 cm" from "divisible by 8"."""
    if text.replace(" ", "").isalpha():
        return len(text) == 1
    unit = _AFTER_NUMBER.search(text)
    formula = _BRACED.sub("", text[: unit.start()] if unit else text)
    words = [word for word in _WORD.findall(formula) if not _FORMULA_WORD.fullmatch(word)]
    return not any(is_words(word) and not _is_label(word) for word in words)


def _is_label(word: str) -> bool:
    """Tell a segment or an angle, AB or ABC, from a word."""
    return word.isupper() and len(word) < 4
