r"""The letter of a multiple-choice answer, A to J.

In this order: a box or tag that holds a letter; the last announcement ("the answer is (C)",
"option B is correct", "I choose D"); a last line that is a letter, or an option written out
("**B. Paris**") that does not end a list of options. Small letters count where they cannot be
words: in brackets, boxes and at the end. Two letters are no choice, and nor is "I don't know".
"""

import re

from tts.answers.marks import last_boxed, last_line_mark, last_tagged

_MAX_SAID = 20
_MAX_MARKED_CHARS = 200
_OPTION = r"(?:option|choice|answer|alternative|statement|letter)"
_STYLE = r"(?:\\(?:text(?:bf|it|rm)?|math(?:rm|bf)|mbox)\s*\{|[$\s{*_(\[]|\\[(\[])*"
# What is marked says little else; a text after the letter repeats the option.
_MARKED = re.compile(
    rf"{_STYLE}(?:{_OPTION}\s+)?{_STYLE}([A-J])"
    r"(?:\s*[\])}*.:,$]+.*|\\[)\]].*|\s*\Z|\s+[-–—].*)",
    re.DOTALL | re.IGNORECASE,
)
# A letter that is meant as one: a capital that begins no word, or a small one in brackets or last.
_CAPITAL = r"(?-i:(?P<capital>[A-J]))(?![\w'’])"
_SMALL = r"(?P<small>[a-j])(?=[)\]*$}]|[.\s]*\Z|[.,]\s*(?:\n|\Z))"
_LETTER = (
    r"(?:[\s:：*_$(\[]|\\[(\[]|\\(?:boxed|text(?:bf)?|mathrm|mathbf)\s?\{){0,12}"
    rf"(?:{_OPTION}\s?)?[\s*_$(\[]{{0,4}}(?:{_CAPITAL}|{_SMALL})"
)
_NOUN = (
    r"(?:\b(?:answers?|options?|choices?|alternative|r[ée]ponse|respuesta|antwort|risposta|resposta"
    r"|ответ|cevap|jawaban)\b|答案|选项|選項|答え|정답|答)"
)
_LINK = r"(?:\b(?:is|are|be|was|ist|es|est|è|é)\b|[:=：是为為은는は])"
_VERB = (
    r"(?:\b(?:choos(?:e|ing)|chose|select(?:ing)?|pick(?:ing)?|go(?:ing)? with|opt for"
    r"|corresponds to|matches(?: with)?|must be)\b|故选|应选|选择|选|選)"
)
_HENCE = r"\b(?:therefore|thus|hence|so)\b[,:]?"
_BEFORE_A_VERDICT = (
    rf"(?:\b{_OPTION}\s+|{_HENCE}\s+(?:{_OPTION}\s+)?|\A|(?<=[\n.!?])\s{{0,4}}|,\s{{1,4}}"
    r"|\b(?:and|but)\s+)"
)
_VERDICT = (
    r"\s{1,4}(?:is|would be|must be|seems)\s+(?:the\s+)?(?:most\s+|best\s+)?"
    r"(?:correct|right|true|best|answer|appropriate|likely)\b"
)
_ANNOUNCEMENTS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_NOUN}[^\n.:=]{{0,40}}?{_LINK}{_LETTER}",  # the correct answer is (C)
        rf"{_VERB}(?:\s+(?:the\s+)?{_OPTION})?{_LETTER}",  # I choose option D
        rf"{_BEFORE_A_VERDICT}[*(]*{_CAPITAL}[)*.]{{0,4}}{_VERDICT}",  # B is correct
        rf"{_HENCE}(?:\s+it(?:['’]s|\s+is))?{_LETTER}(?=[).*\s]*\Z)",  # therefore, B.
    )
]
# After a capital A or I, a sentence may go on: "A bird", "I think".
_GOES_ON = re.compile(r"\s+(?!(?:is|because|since|as|which|and|or|with|for|by)\b)[a-z]")
_ANOTHER = re.compile(r"[)\]*\s]*(?:,|or|and|/|&|或|和)\s*[(\[*]*[A-J](?![\w'’])")
_NEGATED = re.compile(r"\b(?:not|n't|isn['’]t|never|neither)\s*$", re.IGNORECASE)
_ALONE = re.compile(
    r"[*_$(\[\s]*(?:Option\s+|Choice\s+)?[*(\[]*(?:([A-J])|(?<=[(\[])([a-j]))[\])*_$.:\s]*"
)
_WRITTEN_OUT = re.compile(r"[*_\s]*(?:[Oo]ption\s+)?[(\[]?([A-J])[*_]*(?:[)\]]|[.:])[*_]*\s+\S.*")


def find_choice(text: str) -> str | None:
    """Return the letter that a text chooses; None if it chooses none, or several."""
    for marked in (last_boxed(text), last_tagged(text), last_line_mark(text)):
        if marked and (letter := _MARKED.fullmatch(marked[:_MAX_MARKED_CHARS])):
            return letter[1].upper()
    return _announced(text) or _last_line(text)


def _announced(text: str) -> str | None:
    found = [m for p in _ANNOUNCEMENTS for m in list(p.finditer(text))[-_MAX_SAID:]]
    for match in sorted(found, key=_place, reverse=True):
        place = _place(match)
        after = text[place + 1 : place + 40]
        if _ANOTHER.match(after) or _NEGATED.search(text[max(0, place - 12) : place]):
            continue
        if text[place] in "AI" and _GOES_ON.match(after):
            continue
        return text[place].upper()
    return None


def _place(match: re.Match[str]) -> int:
    small = match.start("small") if "small" in match.re.groupindex else -1
    return max(match.start("capital"), small)


def _last_line(text: str) -> str | None:
    *before, last = [line for line in text[-1_000:].splitlines() if line.strip()] or [""]
    if alone := _ALONE.fullmatch(last):
        return (alone[1] or alone[2]).upper()
    written = _WRITTEN_OUT.fullmatch(last)
    ends_list = bool(before) and _WRITTEN_OUT.fullmatch(before[-1]) is not None
    return written[1] if written and not ends_list else None
