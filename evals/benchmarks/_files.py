"""Rows of a user's file: JSON Lines, CSV, TSV or Parquet; errors say where and what to do."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from tts.errors import ProblemError, optional_import

MAX_LINE_BYTES = 8 << 20
EXAMPLE = '{"id": "1", "problem": "What is 6 * 7?", "answer": "42"}'


class FileRow(NamedTuple):
    """A row of a file.

    Attributes:
        where: File and line, as errors name them.
        values: By column.
    """

    where: str
    values: Mapping[str, Any]


def read_rows(path: Path, names: Mapping[str, str]) -> Iterator[FileRow]:
    """Yield the rows of a file.

    Its name tells its form: ".csv" is a table with commas, ".tsv" one with tabs, ".parquet" is
    Parquet, anything else JSON Lines.

    Args:
        path: The file; text is UTF-8.
        names: New name by column; a column that had the new name before is dropped.

    Raises:
        ProblemError: The file cannot be read, or a row lacks a column of `names`; the message
            begins with file and line.
        MissingExtraError: The file is Parquet, and what reads it is not installed.
    """
    read = _READERS.get(path.suffix.lower(), _json_rows)
    try:
        for row in read(path):
            yield _renamed(row, names)
    except OSError as error:
        raise ProblemError(
            f"cannot read {path}: {error.strerror}; --data takes JSON Lines, CSV, TSV or Parquet"
        ) from error


def _renamed(row: FileRow, names: Mapping[str, str]) -> FileRow:
    if missing := [name for name in names if name not in row.values]:
        raise ProblemError(
            f"{row.where}: no column {missing[0]!r} to map, only {', '.join(row.values)}"
        )
    kept = {k: v for k, v in row.values.items() if k not in names and k not in names.values()}
    return FileRow(row.where, {**kept, **{new: row.values[old] for old, new in names.items()}})


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield place and content of each line, the blank ones too."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise ProblemError(
                    f"{path}:{number}: longer than {MAX_LINE_BYTES >> 20} MiB; "
                    "this is not one problem a line"
                )
            yield f"{path}:{number}", line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ProblemError(
            f"{where}: byte {error.start + 1} is not UTF-8; convert the file to UTF-8"
        ) from error


def _json_rows(path: Path) -> Iterator[FileRow]:
    for where, line in _lines(path):
        if line.strip():
            yield FileRow(where, _object(_decoded(line, where), where))


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.rstrip("\r\n"), parse_constant=_refuse_constant)
        check_writable(row, where)
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        raise ProblemError(
            f"{where}: not JSON ({_reason(error)}); each line is one object, such as {EXAMPLE}"
        ) from error
    if not isinstance(row, dict):
        raise ProblemError(
            f"{where}: {kind_of(row)} instead of an object; each line is one, such as {EXAMPLE}"
        )
    return row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def check_writable(row: object, where: str) -> None:
    """Refuse what could not be written into a run's files later.

    Raises:
        ProblemError: A string holds half of a surrogate pair, or a value has no form in JSON.
    """
    try:
        json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise ProblemError(
            f"{where}: half of a surrogate pair in a string; convert the file to UTF-8"
        ) from error
    except (TypeError, ValueError) as error:
        raise ProblemError(f"{where}: {error}; keep texts, numbers and lists of them") from error


def kind_of(value: object) -> str:
    """Return what a JSON value is, for people."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return "a text"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "a number"


def _table_rows(path: Path, *, form: str, delimiter: str, between: str) -> Iterator[FileRow]:
    """Yield the rows below the header; an empty cell is a column that the row does not have.

    Args:
        path: The file.
        form: What errors call its form.
        delimiter: Between cells.
        between: What errors call several of these.
    """
    texts = (_decoded(line, where) for where, line in _lines(path))
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    header = _header(path, reader, form)
    while True:
        where = f"{path}:{reader.line_num + 1}"
        cells = _next_cells(reader, where, form)
        if cells is None:
            return
        if len(cells) > len(header):
            raise ProblemError(
                f"{where}: {len(cells)} cells below {len(header)} column names; put cells that "
                f"hold {between} in double quotes"
            )
        if cells:
            yield FileRow(where, {k: v for k, v in zip(header, cells, strict=False) if v})


def _header(path: Path, reader: Any, form: str) -> list[str]:
    header = [name.strip() for name in _next_cells(reader, f"{path}:1", form) or ()]
    if twice := [name for place, name in enumerate(header) if name in header[:place]]:
        raise ProblemError(f"{path}:1: two columns are named {twice[0]!r}; rename one")
    return header


def _next_cells(reader: Any, where: str, form: str) -> list[str] | None:
    try:
        cells: list[str] | None = next(reader, None)
    except csv.Error as error:
        raise ProblemError(f"{where}: not {form} ({error})") from error
    return cells


def _parquet_rows(path: Path) -> Iterator[FileRow]:
    path.open("rb").close()  # a missing file is named as those of other kinds are
    with optional_import("a Parquet file"):
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    try:
        table = parquet.read_table(path)
    except arrow.ArrowException as error:
        first_line = next(iter(str(error).splitlines()), "")
        raise ProblemError(f"{path}: not Parquet ({first_line})") from error
    for index, values in enumerate(table.to_pylist()):
        where = f"{path}, row {index}"
        row = {key: value for key, value in values.items() if value is not None}
        check_writable(row, where)
        yield FileRow(where, row)


_READERS: Mapping[str, Callable[[Path], Iterator[FileRow]]] = {
    ".csv": partial(_table_rows, form="CSV", delimiter=",", between="commas"),
    ".tsv": partial(_table_rows, form="TSV", delimiter="\t", between="tabs"),
    ".parquet": _parquet_rows,
}
