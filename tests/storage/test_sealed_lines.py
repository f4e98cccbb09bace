"""Lines with checksums: one by one, cut off, damaged."""

from pathlib import Path

import pytest

from tts.errors import StoreError
from tts.storage.sealed_lines import LineWriter, decode_line, encode_line, read_lines


def filled(path: Path) -> list[bytes]:
    lines = [encode_line({"kind": kind, "n": n}) for n, kind in enumerate(("a", "b", "a"))]
    writer = LineWriter(path, 0)
    for line in lines:
        writer.append(line)
    writer.close()
    return lines


def test_lines_come_with_their_places(tmp_path: Path) -> None:
    first, second, third = filled(tmp_path / "x.jsonl")
    found = list(read_lines(tmp_path / "x.jsonl"))
    assert [line.values["n"] for line in found] == [0, 1, 2]
    assert [line.end for line in found] == [
        len(first),
        len(first + second),
        len(first + second + third),
    ]
    assert (found[1].start, found[1].end) == (len(first), len(first + second))
    kept = list(read_lines(tmp_path / "x.jsonl", holding='"a"'))
    assert kept == [found[0], found[2]]
    assert list(read_lines(tmp_path / "x.jsonl", start=found[0].end)) == found[1:]


def test_a_line_that_is_damaged_is_named_even_if_nobody_wants_it(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    first, second, third = filled(path)
    path.write_bytes(first + second.replace(b"b", b"c") + third)
    with pytest.raises(StoreError, match=r"x\.jsonl:2: damaged line; delete it"):
        list(read_lines(path, holding='"a"'))
    with pytest.raises(StoreError, match=r"x\.jsonl:2: damaged line; delete it"):
        list(read_lines(path, start=len(first)))


def test_no_file_has_no_lines_and_a_folder_is_an_error(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "none")) == []
    with pytest.raises(StoreError, match="cannot be read"):
        list(read_lines(tmp_path))


@pytest.mark.parametrize("text", ["\ud800 half a pair", "\u2028", '"}\n', "\x00"])
def test_any_text_is_one_line(text: str) -> None:
    line = encode_line({"text": text})
    assert line.count(b"\n") == 1 and decode_line(line) == {"text": text}
