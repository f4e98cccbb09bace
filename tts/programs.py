"""The program that an attempt at a code problem stands for.

A problem may say in its metadata which function is asked for (`entry_point`) and which code it
begins with (`starter`: imports, helpers, and the head of the function). Models answer with the
whole function or only with its body. What they write after it is cut off where the evaluations of
HumanEval and MBPP stop a model.
"""

import re

from tts.types import Problem

# Chen et al. 2021, arXiv:2107.03374, section 2.1: where the body of the function is over.
_AFTER_BODY = re.compile(r"\n(?:class|def|#|if|print)")
# A whole answer may define helpers below the function; only calls and checks of it are left out.
_AFTER_FUNCTION = re.compile(r"\n(?:if|print|assert)\b")


def to_program(problem: Problem, code: str) -> str:
    """Return what is run for an attempt.

    Args:
        problem: Its metadata may have `entry_point` and `starter`, both text.
        code: What the attempt wrote.

    Returns:
        The code alone where the problem names no function. Code that defines the function follows
        what stands before it in the starter; code that does not continues the starter.
    """
    name, starter = (problem.metadata.get(key) for key in ("entry_point", "starter"))
    if not isinstance(name, str) or not name:
        return code
    begun = starter if isinstance(starter, str) else ""
    own = _definition(name, code)
    if own is not None:
        given = _definition(name, begun)
        return begun[: given.start() if given else 0] + _cut(code, _AFTER_FUNCTION, own.end())
    return begun + _cut(code, _AFTER_BODY, 0) if begun else code


def _definition(name: str, code: str) -> re.Match[str] | None:
    return re.search(
        rf"^(?:(?:async\s+)?def|class)\s+{re.escape(name)}\b|^{re.escape(name)}\s*=", code, re.M
    )


def _cut(code: str, end: re.Pattern[str], start: int) -> str:
    found = end.search(code, start)
    return code[: found.start()] + "\n" if found else code


def called_function(code: str, tests: str) -> str:
    """Return the function of the code that tests call first; empty if they call none of it."""
    defined = re.findall(r"^def (\w+)", code, re.M)
    return next((name for name in re.findall(r"\w+", tests) if name in defined), "")
