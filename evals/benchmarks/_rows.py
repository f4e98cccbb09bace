"""Rows of a benchmark to problems, with errors that say which line and what to do."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from tts.errors import ProblemError
from tts.types import AnswerType, Problem

MAX_LINE_BYTES = 8 << 20
_EXAMPLE = '{"id": "1", "problem": "What is 6 * 7?", "answer": "42"}'
_ANSWER_TYPES: tuple[AnswerType, ...] = get_args(AnswerType)


def read_problems(
    path: Path, *, answer_type: AnswerType, allow_unanswered: bool = False
) -> list[Problem]:
    """Read a JSON Lines file of problems: `id`, `problem` and `answer`, and any other key.

    The other keys become metadata; `answer_type` too, unless it is one of ours. Blank lines are
    skipped. The whole file is checked before the first problem is solved.

    Args:
        path: The file, in UTF-8.
        answer_type: Of the rows that do not name one of ours.
        allow_unanswered: Take problems without an answer, which nobody can grade.

    Raises:
        ProblemError: The file cannot be read or is empty, or a line is no problem; the message
            begins with file and line.
    """
    problems: list[Problem] = []
    line_by_id: dict[str, int] = {}
    for number, line in _lines(path):
        where = f"{path}:{number}"
        problem = to_problem(
            _object(line, where), where, answer_type=answer_type, allow_unanswered=allow_unanswered
        )
        if problem.id in line_by_id:
            raise ProblemError(
                f"{where}: the id {_short(problem.id)} is already on line "
                f"{line_by_id[problem.id]}; every problem needs its own"
            )
        line_by_id[problem.id] = number
        problems.append(problem)
    if not problems:
        raise ProblemError(f"{path}: no problems; write one a line, such as {_EXAMPLE}")
    return problems


def to_problem(
    row: Mapping[str, Any],
    where: str,
    *,
    answer_type: AnswerType,
    allow_unanswered: bool = False,
) -> Problem:
    """Check a row and return it as a problem.

    Args:
        row: As in `read_problems`; an integer id and a number as answer are taken as text.
        where: Named in errors.
        answer_type: Used where the row does not name one of ours.
        allow_unanswered: As in `read_problems`.

    Raises:
        ProblemError: A key is missing, empty or of the wrong type.
    """
    reference = _text(row, "answer", where, is_number_allowed=True)
    if reference is None and not allow_unanswered:
        raise ProblemError(
            f"{where}: no 'answer', so that nobody can grade it; add one or remove the line"
        )
    own_type = next((t for t in _ANSWER_TYPES if t == row.get("answer_type")), None)
    dropped = {"id", "problem", "answer"} | ({"answer_type"} if own_type else set())
    return Problem(
        id=_needed(row, "id", where, is_number_allowed=True),
        statement=_needed(row, "problem", where),
        reference=reference,
        answer_type=own_type or answer_type,
        metadata={key: value for key, value in row.items() if key not in dropped},
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each line that is not blank."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise ProblemError(
                        f"{path}:{number}: longer than {MAX_LINE_BYTES >> 20} MiB; "
                        "this is not one problem a line"
                    )
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield number, line
    except OSError as error:
        raise ProblemError(
            f"cannot read {path}: {error.strerror}; --data takes a JSON Lines file"
        ) from error


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode().rstrip("\r\n"), parse_constant=_refuse_constant)
        json.dumps(row, ensure_ascii=False).encode()  # lone surrogates could not be written later
    except UnicodeDecodeError as error:
        raise ProblemError(
            f"{where}: byte {error.start + 1} is not UTF-8; convert the file to UTF-8"
        ) from error
    except UnicodeEncodeError as error:
        raise ProblemError(
            f"{where}: half of a surrogate pair in a string; convert the file to UTF-8"
        ) from error
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        raise ProblemError(
            f"{where}: not JSON ({_reason(error)}); each line is one object, such as {_EXAMPLE}"
        ) from error
    if not isinstance(row, dict):
        raise ProblemError(
            f"{where}: {_kind(row)} instead of an object; each line is one, such as {_EXAMPLE}"
        )
    return row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _needed(
    row: Mapping[str, Any], key: str, where: str, *, is_number_allowed: bool = False
) -> str:
    value = _text(row, key, where, is_number_allowed=is_number_allowed)
    if value is None:
        raise ProblemError(f"{where}: no {key!r}; a line looks like {_EXAMPLE}")
    return value


def _text(
    row: Mapping[str, Any], key: str, where: str, *, is_number_allowed: bool = False
) -> str | None:
    """Return a key's text; None when it is missing, null or blank."""
    value = row.get(key)
    if is_number_allowed and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise ProblemError(f"{where}: {key!r} is {_kind(value)}; write it as text in quotes")
    return value if value and value.strip() else None


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return "a text"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "a number"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
