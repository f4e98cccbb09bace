"""Rows of a benchmark to problems, with errors that say which row and what to do."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

from tts.errors import ProblemError
from tts.evals.benchmarks._files import EXAMPLE, kind_of, read_rows
from tts.types import AnswerType, Problem

_ANSWER_TYPES: tuple[AnswerType, ...] = get_args(AnswerType)
_NO_NAMES: Mapping[str, str] = {}


def read_problems(
    path: Path,
    *,
    answer_type: AnswerType,
    allow_unanswered: bool = False,
    names: Mapping[str, str] = _NO_NAMES,
) -> list[Problem]:
    """Read a file of problems: columns `problem` and `answer`, perhaps `id`, and any other.

    A row without an id gets the file's name and the row's number. The other columns become
    metadata; `answer_type` too, unless it is one of ours. The whole file is checked before the
    first problem is solved.

    Args:
        path: The file; see `read_rows` for its forms.
        answer_type: Of the rows that do not name one of ours.
        allow_unanswered: Take problems without an answer, which nobody can grade.
        names: Our name by the file's.

    Raises:
        ProblemError: The file cannot be read or is empty, or a row is no problem; the message
            begins with file and line.
    """

    def make(row: Mapping[str, Any], where: str, _: int) -> Problem:
        return to_problem(row, where, answer_type=answer_type, allow_unanswered=allow_unanswered)

    return read_problems_as(make, path, names)


def read_problems_as(
    make: Callable[[Mapping[str, Any], str, int], Problem],
    path: Path,
    names: Mapping[str, str] = _NO_NAMES,
) -> list[Problem]:
    """Read a file of problems in a benchmark's own form.

    Args:
        make: Turns a row, what errors call it, and its position into a problem.
        path: The file.
        names: New name by column.

    Raises:
        ProblemError: As of `read_problems`.
    """
    problems: list[Problem] = []
    place_by_id: dict[str, str] = {}
    for index, (where, values) in enumerate(read_rows(path, names)):
        has_id = values.get("id") not in (None, "")
        row = values if has_id else {**values, "id": f"{path.stem}-{index + 1}"}
        problem = make(row, where, index)
        if problem.id in place_by_id:
            raise ProblemError(
                f"{where}: the id {_short(problem.id)} is already that of "
                f"{place_by_id[problem.id]}; every problem needs its own"
            )
        place_by_id[problem.id] = where
        problems.append(problem)
    if not problems:
        raise ProblemError(f"{path}: no problems; write one a line, such as {EXAMPLE}")
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
    own_type = next((t for t in _ANSWER_TYPES if t == row.get("answer_type")), None)
    reference = _text(row, "answer", where, is_number_allowed=True)
    is_run = (own_type or answer_type) == "code" and ("tests" in row or "hidden_tests" in row)
    if reference is None and not allow_unanswered and not is_run:
        raise ProblemError(
            f"{where}: {_lack(row, 'answer')}, so that nobody can grade it; add one, name its "
            "column with --map COLUMN=answer, or remove the line"
        )
    dropped = {"id", "problem", "answer"} | ({"answer_type"} if own_type else set())
    return Problem(
        id=needed(row, "id", where, is_number_allowed=True),
        statement=needed(row, "problem", where),
        reference=reference,
        answer_type=own_type or answer_type,
        metadata={key: value for key, value in row.items() if key not in dropped},
    )


def needed(row: Mapping[str, Any], key: str, where: str, *, is_number_allowed: bool = False) -> str:
    """Return a column's text.

    Raises:
        ProblemError: It is missing, blank or no text.
    """
    value = _text(row, key, where, is_number_allowed=is_number_allowed)
    if value is None:
        raise ProblemError(
            f"{where}: {_lack(row, key)}; name its column with --map COLUMN={key}, or write lines "
            f"such as {EXAMPLE}"
        )
    return value


def _lack(row: Mapping[str, Any], key: str) -> str:
    if key in row:
        return f"{key!r} is empty"
    return f"no {key!r}, only {', '.join(row)}"


def _text(
    row: Mapping[str, Any], key: str, where: str, *, is_number_allowed: bool = False
) -> str | None:
    """Return a key's text; None when it is missing, null or blank."""
    value = row.get(key)
    if is_number_allowed and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise ProblemError(f"{where}: {key!r} is {kind_of(value)}; write it as text in quotes")
    return value if value and value.strip() else None


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
