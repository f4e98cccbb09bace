"""Anybody's file: columns named by --map, ids of its own, CSV and Parquet."""

from pathlib import Path
from typing import Any

import pytest

from tests.evals.benchmarks.test_benchmarks import load, write
from tts.errors import ParameterError, ProblemError
from tts.types import Answer, Problem, Support

COLUMNS = {"question": "problem", "target": "answer"}


def read(path: Path, **options: Any) -> list[Problem]:
    return list(load("file", path, **options).problems("test"))


def text_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_are_renamed_and_rows_without_ids_are_numbered(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"question": "p", "target": 4, "problem": "dropped", "level": 2}',
        "",
        '{"id": "own", "question": "q", "target": "5"}',
        '{"question": "r", "target": "6"}',
    )
    assert read(path, map=COLUMNS) == [
        Problem("problems-1", "p", reference="4", metadata={"level": 2}),
        Problem("own", "q", reference="5"),
        Problem("problems-3", "r", reference="6"),  # the third row, blank lines apart
    ]


@pytest.mark.parametrize("split", ["test", "calibration"])
def test_a_file_is_the_split_that_is_asked_for(split: str, tmp_path: Path) -> None:
    path = write(tmp_path, '{"problem": "p", "answer": "1"}')
    assert [p.id for p in load("file", path).problems(split)] == ["problems-1"]


def test_columns_that_cannot_be_renamed(tmp_path: Path) -> None:
    path = write(tmp_path, '{"question": "p", "answer": "4"}')
    with pytest.raises(ProblemError, match=r":1: no column 'target' to map, only question, answer"):
        read(path, map=COLUMNS)
    with pytest.raises(ParameterError, match="map gives two columns the name 'problem'"):
        read(path, map={"question": "problem", "answer": "problem"})
    with pytest.raises(ParameterError, match="name the file with --data FILE"):
        load("chain", map=COLUMNS)
    with pytest.raises(ProblemError, match="a pool has columns of its own"):
        load("pool", path, map=COLUMNS)


def test_an_id_that_a_numbered_row_has_already(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"id": "problems-2", "problem": "p", "answer": "4"}',
        '{"problem": "q", "answer": "4"}',
    )
    with pytest.raises(ProblemError, match=r":2: the id 'problems-2' is already that of .*:1;"):
        read(path)


def test_csv(tmp_path: Path) -> None:
    path = text_file(
        tmp_path,
        "mine.CSV",
        "\ufeffquestion,target,level\r\n"
        '"Two lines,\r\n\r\nand ""quotes""",4,\r\n\r\np,"1,000",3\r\n',
    )
    assert read(path, map=COLUMNS) == [
        Problem("mine-1", 'Two lines,\r\n\r\nand "quotes"', reference="4"),
        Problem("mine-2", "p", reference="1,000", metadata={"level": "3"}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("problem,answer\np,4\nq,5,6\n", r"x.csv:3: 3 cells below 2 column names"),
        ("problem,problem\np,4\n", r"x.csv:1: two columns are named 'problem'"),
        ('problem,answer\np,"4\n', r"x.csv:2: not CSV"),
        ('problem,answer\n"p"x,4\n', r"x.csv:2: not CSV"),
        ("problem,answer\np\n", r"x.csv:2: no 'answer', only problem, id, so that nobody"),
        ("Question,Solution\np,4\n", r"x.csv:2: no 'answer', only Question, Solution, id"),
        ("problem,answer\n,4\n", r"x.csv:2: no 'problem', only answer, id"),
        ("problem,answer\n", r"x.csv: no problems"),
        ("", r"x.csv: no problems"),
    ],
)
def test_bad_csv_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=message):
        read(text_file(tmp_path, "x.csv", text))


def test_tsv(tmp_path: Path) -> None:
    path = text_file(tmp_path, "mine.tsv", 'question\ttarget\nOne, "two"\t1,000\n"a\tb"\t5\n')
    assert read(path, map=COLUMNS) == [
        Problem("mine-1", 'One, "two"', reference="1,000"),
        Problem("mine-2", "a\tb", reference="5"),
    ]
    for text, message in (
        (
            "problem\tanswer\np\t4\t5\n",
            r":2: 3 cells .* put cells that hold tabs in",
        ),
        ('problem\tanswer\np\t"4\n', r":2: not TSV"),
    ):
        with pytest.raises(ProblemError, match=message):
            read(text_file(tmp_path, "x.tsv", text))


def test_csv_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"problem,answer\np,\xff\n")
    with pytest.raises(ProblemError, match=r"x.csv:2: byte 3 is not UTF-8"):
        read(path)


def test_answer_types_that_there_are_not_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = '{"problem": "p", "answer": "4", "answer_type": "integer"}'
    read(write(tmp_path, known))
    assert caplog.text == ""
    misspelt = [known.replace("integer", name) for name in ("numbr", "Real", "numbr")]
    types = [problem.answer_type for problem in read(write(tmp_path, known, *misspelt))]
    assert types == ["integer", "math", "math", "math"]
    (record,) = caplog.records
    assert "no answer_type is called 'Real' or 'numbr'" in record.message
    assert "(there are math, integer, " in record.message


def test_a_blank_problem_is_called_empty(tmp_path: Path) -> None:
    path = write(tmp_path, '{"problem": " ", "answer": "4"}')
    with pytest.raises(ProblemError, match=r":1: 'problem' is empty; name its column"):
        read(path)


def test_parquet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "mine.parquet"
    rows = [
        {"question": "p", "target": 4, "level": None},
        {"question": "q", "target": 5, "level": 3},
    ]
    datasets.Dataset.from_list(rows).to_parquet(str(path))
    capfd.readouterr()
    assert read(path, map=COLUMNS) == [
        Problem("mine-1", "p", reference="4"),
        Problem("mine-2", "q", reference="5", metadata={"level": 3}),
    ]
    assert capfd.readouterr() == ("", "")  # no bar of a library's
    with pytest.raises(ProblemError, match=r"no.parquet: No such file"):
        read(tmp_path / "no.parquet")
    with pytest.raises(ProblemError, match=r"x.parquet: not Parquet"):
        read(text_file(tmp_path, "x.parquet", "no"))


def test_programs_of_a_file_are_graded_by_their_tests(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"problem": "Square.", "answer_type": "code", "tests": ["assert f(3) == 9"]}',
    )
    benchmark = load("file", path)
    (problem,) = benchmark.problems("test")
    vote = Support(votes=1, voters=1, weight=1.0, probability=1.0)
    codes = ["def f(x): return x * x", "def f(x): return x + x"]
    grades = [benchmark.grade(problem, Answer(code, code, vote)) for code in codes]
    assert [(grade.correct, grade.reason) for grade in grades] == [
        (True, "1 of 1 tests pass"),
        (False, "0 of 1 tests pass"),
    ]
