"""What the benchmarks share: problems from a file or from the Hugging Face hub, and grading."""

import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from tts.answers.groups import AnswerChecker, Patience, canonical_form
from tts.errors import ProblemError
from tts.evals import grading
from tts.evals.benchmarks._hub import hub_rows
from tts.evals.benchmarks._rows import read_problems_as, to_problem
from tts.evals.code_grading import HIDDEN_TESTS, CodeGrader
from tts.parts.parameters import Parameters
from tts.types import Answer, AnswerType, Grade, Problem

DATA_DIR = "TTS_DATA_DIR"  # names a folder with copies of public data sets
_LOG = logging.getLogger(__name__)

Row = Mapping[str, Any]


class DataConfig(Parameters):
    """What every benchmark can be told."""

    data: Path | None = Field(
        None,
        description="file of problems: JSON Lines, .csv or .parquet; if none, they are generated, "
        "or come from the folder that TTS_DATA_DIR names, or from the Hugging Face hub",
    )
    map: Mapping[str, str] = Field(
        default_factory=dict, description="our name (problem, answer, id) by the file's column"
    )
    unsafe_execution: bool = Field(
        False, description="grade programs even where nothing isolates them"
    )

    @model_validator(mode="after")
    def _check_map(self) -> Self:
        if self.map and self.data is None:
            raise ValueError("map names columns of a file; name the file with --data FILE")
        names = list(self.map.values())
        if twice := [name for place, name in enumerate(names) if name in names[:place]]:
            raise ValueError(f"map gives two columns the name {twice[0]!r}")
        return self


class ListBenchmark:
    """A benchmark that is given by a function from a split to its problems."""

    def __init__(
        self, list_problems: Callable[[str], Iterable[Problem]], *, unsafe: bool = False
    ) -> None:
        """Remember the function; nothing is read yet.

        Args:
            list_problems: Raises ProblemError for a split that there is not.
            unsafe: Grade programs even where nothing isolates them.
        """
        self._list_problems = list_problems
        self._checker = AnswerChecker()
        self._patience: defaultdict[str, Patience] = defaultdict(Patience)
        self._programs = CodeGrader(unsafe=unsafe)

    @classmethod
    def of_test_split(cls, read: Callable[[], Iterable[Problem]], *, unsafe: bool = False) -> Self:
        """Return a benchmark whose only split is "test"."""

        def list_problems(split: str) -> Iterable[Problem]:
            if split != "test":
                raise ProblemError(f"no split '{split}'; there is only test")
            return read()

        return cls(list_problems, unsafe=unsafe)

    def problems(self, split: str) -> Iterator[Problem]:
        """Yield the problems of a split, always in the same order.

        Raises:
            ProblemError: The split is unknown, or the data cannot be used.
            VerifierError: There are programs to grade, and nothing here isolates them.
        """
        return self._checked(self._list_problems(split))

    def grade(self, problem: Problem, answer: Answer) -> Grade:
        """Compare an answer with the problem's reference; run it where it is a program."""
        if problem.answer_type == "code":
            return self._programs.grade(problem, answer)
        patience = self._patience[problem.id]
        return grading.grade(problem, answer, self._checker, patience=patience)

    def _checked(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        for problem in problems:
            if problem.answer_type == "code":
                self._programs.check()
            yield problem


@dataclass(frozen=True, slots=True)
class Part:
    """One split of a public data set.

    Attributes:
        file: Name of its copy in the folder that TTS_DATA_DIR names.
        to_row: Turns an upstream row and its position into one with `id`, `problem`, `answer`.
        hub_split: Its name on the hub.
        num_problems: How many there are; None where that may differ.
        sha256: `digest` of the problems; empty where it is not known.
        keep: Which of the rows belong to it.
    """

    file: str
    to_row: Callable[[Row, int], Row]
    hub_split: str = "test"
    num_problems: int | None = None
    sha256: str = ""
    keep: Callable[[Problem], bool] = lambda _: True

    def mismatch(self, problems: Sequence[Problem]) -> str:
        """Say how problems differ from the published ones; empty when they do not."""
        found = digest(problems)
        is_whole = self.num_problems in (None, len(problems))
        if is_whole and self.sha256 in ("", found):
            return ""
        known = f" with {self.sha256[:16]}" if self.sha256 else ""
        return (
            f"{len(problems)} problems with sha256 {found[:16]}, expected {self.num_problems}"
            f"{known}; figures may not compare with published ones"
        )


@dataclass(frozen=True, slots=True)
class Published:
    """A public data set, and how to know it again.

    A file may have the hub's own columns, or `id`, `problem` and `answer`.

    Attributes:
        name: The benchmark's name.
        dataset: Name on the Hugging Face hub.
        answer_type: Of all its answers.
        parts: By the name of our split.
        configs: The data set's configurations, all of which are read.
        revision: Commit on the hub; empty for the newest.
    """

    name: str
    dataset: str
    answer_type: AnswerType
    parts: Mapping[str, Part]
    configs: tuple[str, ...] = ("",)
    revision: str = ""

    def load(self, config: DataConfig) -> ListBenchmark:
        """Return the benchmark: from the file that is given, a local copy, or the hub."""

        def list_problems(split: str) -> list[Problem]:
            part = self._part(split)
            local = _local_copy(part.file)
            if config.data is not None:
                return self._from_file(part, config.data, config.map)
            return self._from_file(part, local, {}) if local else self._from_hub(part)

        return ListBenchmark(list_problems, unsafe=config.unsafe_execution)

    def _part(self, split: str) -> Part:
        if split not in self.parts:
            others = "there is only" if len(self.parts) == 1 else "there are"
            raise ProblemError(f"no split '{split}'; {others} {', '.join(self.parts)}")
        return self.parts[split]

    def _from_file(self, part: Part, path: Path, names: Mapping[str, str]) -> list[Problem]:
        def make(row: Row, where: str, index: int) -> Problem:
            is_ours = "problem" in row and "answer" in row
            return self._to_problem(row if is_ours else _known(part, row, index), where)

        problems = [p for p in read_problems_as(make, path, names) if part.keep(p)]
        if problem := part.mismatch(problems):
            _LOG.warning("%s is not the published %s: %s", path, self.name, problem)
        return problems

    def _from_hub(self, part: Part) -> list[Problem]:
        split, revision = part.hub_split, self.revision
        parts = (hub_rows(self.dataset, config, split, revision) for config in self.configs)
        rows = [row for part_rows in parts for row in part_rows]
        read = (self._from_row(part, row, index) for index, row in enumerate(rows))
        problems = [problem for problem in read if part.keep(problem)]
        if part.num_problems not in (None, len(problems)):
            raise ProblemError(
                f"{self.dataset} has {len(problems)} problems and {self.name} has "
                f"{part.num_problems}; give a copy of the published set with --data FILE"
            )
        if problem := part.mismatch(problems):
            _LOG.warning("%s has changed since its digest was taken: %s", self.dataset, problem)
        return problems

    def _from_row(self, part: Part, row: Row, index: int) -> Problem:
        where = f"{self.dataset}, row {index}"
        try:
            known = part.to_row(row, index)
        except KeyError as error:
            raise ProblemError(
                f"{where}: no column {error}, only {', '.join(row)}; the data set has changed, "
                "so give a copy with --data FILE"
            ) from error
        return self._to_problem(known, where)

    def _to_problem(self, row: Row, where: str) -> Problem:
        return to_problem(row, where, answer_type=self.answer_type)


def _known(part: Part, row: Row, index: int) -> Row:
    """Return a file's row with our columns, if it has the hub's; what lacks is refused later."""
    try:
        return part.to_row(row, index)
    except KeyError:
        return row


def _local_copy(file: str) -> Path | None:
    folder = os.environ.get(DATA_DIR)
    path = Path(folder or "") / file
    return path if folder and path.is_file() else None


def digest(problems: Sequence[Problem]) -> str:
    r"""Return the SHA-256, in hexadecimal, of the (problem, answer) pairs, whatever their order.

    A pair is a JSON list of statement and reference, non-ASCII characters as they are, ", "
    between the two. Each run of white space in them is one space, the reference of an "integer"
    problem is in canonical form (27.0 is 27), and that of a "code" problem is its hidden tests. The
    lines are sorted, joined by "\n" and hashed as UTF-8.
    """
    lines = sorted(
        json.dumps([_one_spaced(p.statement), _reference(p)], ensure_ascii=False) for p in problems
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _one_spaced(text: str) -> str:
    return " ".join(text.split())


def _reference(problem: Problem) -> str:
    text = problem.reference or ""
    if problem.answer_type == "integer":
        return canonical_form(text, "integer")
    if problem.answer_type == "code":
        text = "\n".join(map(str, problem.metadata.get(HIDDEN_TESTS, ())))
    return _one_spaced(text)
