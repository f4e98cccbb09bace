"""The process that compares answers symbolically, with math-verify.

It lives apart because symbolic comparison may take for ever, eat all memory or crash, and because
math-verify's own time limit works only in the main thread of a process. `tts.answers.checker`
starts it and owns it; nothing else imports this module.
"""

import logging
import re
import resource
import signal
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any

import sympy
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

MEMORY_BYTES = 4 << 30
_BARE = (LatexExtractionConfig(),)
_PROSE = (LatexExtractionConfig(), ExprExtractionConfig())
_MATH_IN_PROSE = re.compile(r"\$|\\boxed|\\\(|\\\[|(?<![\\A-Za-z])[A-Za-z]{2,} |[^\x00-\x7f]{2}")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\^\\circ")
_ANGLE_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_BARE_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\(")


def main(descriptor: int) -> None:
    """Answer (gold, candidate, seconds) requests on a socket until the other end closes it."""
    logging.disable(logging.CRITICAL)  # math-verify logs each failure to parse
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the owner, which closes us
    connection: Connection[Any, Any] = Connection(descriptor)
    compare("\\frac{1}{2}", "0.5")  # loads the parser's tables before the first clock runs
    connection.send("ready")
    while True:
        try:
            gold, candidate, seconds = connection.recv()
        except EOFError:
            return
        # SIGPROF ends the process, whatever it is at and whether or not its owner still lives.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        equal = compare(gold, candidate)
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        connection.send(equal)


def compare(gold: str, candidate: str) -> bool:
    """Tell whether a candidate equals the gold answer; what cannot be read equals nothing."""
    try:
        left, right = _read(gold), _read(candidate)
        if verify(left, right, timeout_seconds=None):
            return True
        left, right = _with_imaginary_unit(left), _with_imaginary_unit(right)
        return bool(left and right and verify(left, right, timeout_seconds=None))
    except (Exception, MemoryError):
        return False


@lru_cache(maxsize=256)
def _read(text: str) -> list[Any]:
    """Parse an answer: as bare mathematics first; a sentence is searched for its mathematics."""
    text = _close_roots(text)
    if _ANGLE_FUNCTION.search(text):
        text = _DEGREES.sub(r"\\frac{\1\\pi}{180}", text)
    if "$" not in text and "\\boxed" not in text:
        bare = list(parse(f"${text}$", _BARE, parsing_timeout=None))
        # Half-read mathematics is worse than none: 4*sqrt(a must not become 4.
        if not _MATH_IN_PROSE.search(text) or any(not isinstance(part, str) for part in bare):
            return bare
    return list(parse(text, _PROSE, parsing_timeout=None))


def _with_imaginary_unit(readings: list[Any]) -> list[Any]:
    """Read the letter i as the imaginary unit.

    The parser takes it for a variable, so that i^2 and -1 would differ.
    """
    changed = []
    for reading in readings:
        names = {symbol.name: symbol for symbol in getattr(reading, "free_symbols", ())}
        changed.append(reading.subs(names["i"], sympy.I) if "i" in names else reading)
    return changed


def _close_roots(text: str) -> str:
    """Write sqrt(...) as LaTeX, with the bracket that belongs to it."""
    while root := _BARE_ROOT.search(text):
        depth = 1
        end = root.end()
        while end < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        inside = text[root.end() : end - 1] if depth == 0 else text[root.end() :]
        text = f"{text[: root.start()]}\\sqrt{{{inside}}}{text[end:]}"
    return text
