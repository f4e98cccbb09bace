"""Every benchmark in the folder, from files, from a fake hub, and offline."""

import importlib
import json
import logging
import os
import pkgutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tts.errors import ProblemError
from tts.evals import benchmarks
from tts.evals.benchmarks import _files, _hub, base
from tts.evals.test_sets import keys_of
from tts.parts.build import build_part
from tts.protocols import Benchmark
from tts.types import Answer, Grade, Problem, Support
from tts.types.statement import statement_key

NAMES = sorted(
    module.name
    for module in pkgutil.iter_modules(benchmarks.__path__)
    if module.name != "base" and not module.name.startswith("_")
)
PUBLISHED = {
    "aime24": ("aime2024", 30),
    "aime25": ("aime2025", 30),
    "aime26": ("aime2026", 30),
    "amc23": ("amc23", 40),
    "gsm8k": ("gsm8k_test", 1319),
    "humaneval": ("humaneval", 164),
    "math500": ("math500", 500),
}
GOOD = '{"id": "a", "problem": "What is 6 * 7?", "answer": "42", "level": 2}'


DATA_DIR = os.environ.get("TTS_DATA_DIR", "")


@pytest.fixture(autouse=True)
def no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep copies of public data sets out of sight; `DATA_DIR` is where they are."""
    monkeypatch.delenv("TTS_DATA_DIR", raising=False)


def load(name: str, data: Path | None = None, **options: object) -> Benchmark:
    """Return a benchmark that grades programs even where nothing isolates them."""
    given = {"data": data, "unsafe_execution": True, **options}
    benchmark: Benchmark = build_part("benchmark", name, given)
    return benchmark


def write(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "problems.jsonl"
    encoded = [line.encode() if isinstance(line, str) else line for line in lines]
    path.write_bytes(b"".join(line + b"\n" for line in encoded))
    return path


def test_the_folder_holds_the_benchmarks() -> None:
    assert {*PUBLISHED, "chain", "countdown", "sudoku", "file"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_has_a_line_of_help_and_reads_files(name: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"tts.evals.benchmarks.{name}")
    assert module.__doc__
    assert "\n" not in module.__doc__.strip()
    problems = list(load(name, write(tmp_path, GOOD)).problems("test"))
    assert [problem.id for problem in problems] == ["a"]
    with pytest.raises(ProblemError, match="no split 'x'"):
        list(load(name, tmp_path / "problems.jsonl").problems("x"))


def test_a_row_becomes_a_problem(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        b'\xef\xbb\xbf{"id": 7, "problem": "p", "answer": 42, "answer_type": "Real"}',
        "",
        '{"id": "b", "problem": "q", "answer": "B", "answer_type": "choice", "subject": "s"}',
    )
    assert list(load("file", path).problems("test")) == [
        # A byte-order mark is skipped; numbers become text; a foreign type is metadata.
        Problem("7", "p", reference="42", metadata={"answer_type": "Real"}),
        Problem("b", "q", reference="B", answer_type="choice", metadata={"subject": "s"}),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", ":2: not JSON .* at column 2"),
        ('{"id": NaN}', ":2: not JSON .NaN is no number"),
        ("[1]", ":2: a list instead of an object"),
        ("null", ":2: null instead of an object"),
        ("12", ":2: a number instead of an object"),
        ("[" * 100_000, ":2: not JSON"),
        (b'{"id": "\xff"}', ":2: byte 9 is not UTF-8"),
        ('{"id": "b", "problem": "\\ud800", "answer": "1"}', ":2: half of a surrogate pair"),
        (
            '{"id": "b", "answer": "1"}',
            ":2: no 'problem', only id, answer; name its column with --map",
        ),
        ('{"id": "b", "problem": " ", "answer": "1"}', ":2: 'problem' is empty"),
        ('{"id": "b", "problem": 5, "answer": "1"}', ":2: 'problem' is a number"),
        ('{"id": true, "problem": "p", "answer": "1"}', ":2: 'id' is true"),
        ('{"id": "b", "problem": "p"}', ":2: no 'answer'"),
        ('{"id": "b", "problem": "p", "answer": null}', ":2: 'answer' is empty"),
        ('{"id": "b", "problem": "p", "answer": ["1"]}', ":2: 'answer' is a list"),
        (GOOD, ":2: the id 'a' is already that of .*problems.jsonl:1;"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str | bytes, message: str) -> None:
    path = write(tmp_path, GOOD, line)
    with pytest.raises(ProblemError, match=message) as caught:
        list(load("file", path).problems("test"))
    assert str(caught.value).startswith(f"{path}:2: ")


def test_a_huge_line_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "MAX_LINE_BYTES", 1 << 20)
    path = write(tmp_path, GOOD, b"x" * (1 << 21))
    with pytest.raises(ProblemError, match=":2: longer than 1 MiB"):
        list(load("file", path).problems("test"))


def test_files_that_hold_nothing(tmp_path: Path) -> None:
    for path, message in [
        (write(tmp_path), "no problems"),
        (write(tmp_path, "", "  "), "no problems"),
        (tmp_path / "missing.jsonl", "No such file"),
        (tmp_path, "directory"),
    ]:
        with pytest.raises(ProblemError, match=message):
            list(load("file", path).problems("test"))
    with pytest.raises(ProblemError, match="--data FILE"):
        load("file")


def test_unanswered_problems_on_request(tmp_path: Path) -> None:
    path = write(tmp_path, '{"id": "a", "problem": "p"}')
    benchmark = load("file", path, allow_unanswered=True)
    (problem,) = benchmark.problems("test")
    assert benchmark.grade(problem, _answer("1")).correct is None


def _answer(text: str) -> Answer:
    return Answer(text, text, Support(votes=1, voters=1, weight=1.0, probability=1.0))


@pytest.mark.parametrize(
    ("name", "wrong"), [("chain", "1000"), ("countdown", "1"), ("sudoku", "1234")]
)
def test_generated_benchmarks(name: str, wrong: str) -> None:
    benchmark = load(name)
    problem, *_ = benchmark.problems("test")
    assert problem == next(iter(benchmark.problems("test")))
    assert benchmark.grade(problem, _answer(problem.reference or "")) == Grade(True)
    assert benchmark.grade(problem, _answer(wrong)) == Grade(False)


def test_the_digest_ignores_order_and_spacing_only() -> None:
    first = [Problem("1", "a  b", reference="1"), Problem("2", "c", reference="2")]
    same = [Problem("x", "c", reference="2"), Problem("y", "a\nb", reference=" 1 ")]
    other = [Problem("1", "a b", reference="2"), Problem("2", "c", reference="1")]
    assert base.digest(first) == base.digest(same)
    assert base.digest(first) != base.digest(other)
    # printf '["a b", "1"]\n["c", "2"]' | sha256sum
    assert base.digest(first).startswith("0fd97eabd65a765d")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_that_differs_is_named_and_used(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        problems = list(load(name, write(tmp_path, GOOD)).problems("test"))
    assert len(problems) == 1
    assert f"is not the published {name}: 1 problems with sha256" in caplog.text


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not DATA_DIR:
        pytest.skip("TTS_DATA_DIR does not name a folder with the benchmark files")
    stem, count = PUBLISHED[name]
    path = Path(DATA_DIR) / f"{stem}.jsonl"
    with caplog.at_level(logging.WARNING):
        problems = list(load(name, path).problems("test"))
    assert len(problems) == count
    assert caplog.text == ""  # row count and digest are those of the published set
    assert {statement_key(p.statement) for p in problems} == keys_of(name)
    monkeypatch.setenv("TTS_DATA_DIR", DATA_DIR)
    assert list(load(name).problems("test")) == problems  # without --data, from the folder


# One row of each data set, with the columns that it has on the hub.
HUB_ROWS: dict[str, tuple[dict[str, Any], str, str]] = {
    "aime24": ({"id": 60, "problem": "p", "solution": "\\boxed{204}"}, "aime24-01", "204"),
    "aime25": ({"id": "0", "problem": "p", "answer": "70"}, "aime25-01", "70"),
    "aime26": ({"id": "0", "problem": "p", "answer": "277"}, "aime26-01", "277"),
    "amc23": ({"id": 0, "question": "p", "answer": 27.0, "url": "u"}, "amc23-01", "27"),
    "gsm8k": ({"question": "p", "answer": "16 - 3 = 13.\n#### 1,013"}, "gsm8k-test-0", "1013"),
    "humaneval": (
        {
            "task_id": "HumanEval/0",
            "prompt": "def f(x):\n",
            "canonical_solution": "    return x\n",
            "test": "def check(candidate):\n    assert candidate(1) == 1\n",
            "entry_point": "f",
        },
        "HumanEval/0",
        "def f(x):\n    return x\n",
    ),
    "math500": (
        {
            "problem": "p",
            "solution": "s",
            "answer": "p - q",
            "subject": "Algebra",
            "level": 5,
            "unique_id": "test/algebra/1.json",
        },
        "algebra/1",
        "p - q",
    ),
}


def fake_hub(
    monkeypatch: pytest.MonkeyPatch, rows: Sequence[dict[str, Any]], split: str = "test"
) -> None:
    module = ModuleType("datasets")

    def load_dataset(
        name: str, config: str | None, *, revision: str | None
    ) -> dict[str, Sequence[dict[str, Any]]]:
        assert revision is None or len(revision) == 40
        assert (config == "main") == (name == "openai/gsm8k")
        return {split: rows}

    monkeypatch.setattr(module, "load_dataset", load_dataset, raising=False)
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.setattr(_hub, "unreachable_hub", lambda: "")


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("split", ["test", "train"])
def test_rows_from_the_hub(
    name: str, split: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    row, problem_id, reference = HUB_ROWS[name]
    _, count = PUBLISHED[name]
    rows = [{**row, "unique_id": row.get("unique_id", "")} for _ in range(count)]
    fake_hub(monkeypatch, rows, split)
    with caplog.at_level(logging.WARNING):
        first = next(iter(load(name).problems("test")))
    statement = "def f(x):" if name == "humaneval" else "p"
    assert (first.id, first.reference) == (problem_id, reference) and statement in first.statement
    assert "has changed since its digest was taken" in caplog.text


def test_a_hub_with_other_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, [HUB_ROWS["aime25"][0]] * 29)
    with pytest.raises(ProblemError, match="math-ai/aime25 has 29 problems and aime25 has 30"):
        load("aime25").problems("test")
    fake_hub(monkeypatch, [{"question": "p", "answer": "70"}] * 30)
    with pytest.raises(ProblemError, match="row 0: no column 'problem', only question, answer"):
        load("aime25").problems("test")


@pytest.mark.parametrize("address", ["https://hub:99999", "https://hub:port", "https://[::1"])
def test_a_hub_that_is_no_address_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(ProblemError, match=r"HF_ENDPOINT .* is no address: "):
        load("aime25").problems("test")


def test_without_a_network_it_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(ProblemError, match="cannot be reached; give a copy with --data FILE"):
        load("math500").problems("test")


def test_a_failure_in_the_library_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, [])

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(sys.modules["datasets"], "load_dataset", fail)
    with pytest.raises(ProblemError, match="RuntimeError: first line; give a copy") as caught:
        load("amc23").problems("test")
    assert "\n" not in str(caught.value)


def test_the_example_in_messages_is_a_good_line(tmp_path: Path) -> None:
    assert json.loads(_files.EXAMPLE)
    assert list(load("file", write(tmp_path, _files.EXAMPLE)).problems("test"))


def test_math_leaves_the_test_problems_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    math = importlib.import_module("tts.evals.benchmarks.math")
    monkeypatch.setattr(math, "keys_of", lambda _: {statement_key("In the test.")})
    rows = [
        {"problem": "In  the test.", "solution": r"\boxed{1}", "level": "Level 1", "type": "t"},
        {"problem": "Not.", "solution": r"So \boxed{1} or \boxed{2}.", "level": "L", "type": "t"},
    ]
    path = write(tmp_path, *map(json.dumps, rows))
    (problem,) = load("math", path).problems("calibration")
    assert (problem.id, problem.statement, problem.reference) == ("math-1", "Not.", "1, 2")
