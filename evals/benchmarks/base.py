"""What the benchmarks share: problems from a file or from the Hugging Face hub, and grading."""

import hashlib
import json
import logging
import os
import socket
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field

from tts.answers.groups import AnswerChecker, Patience, canonical_form
from tts.errors import ProblemError, optional_import
from tts.evals import grading
from tts.evals.benchmarks._rows import read_problems, to_problem
from tts.parts.parameters import Parameters
from tts.types import Answer, AnswerType, Grade, Problem

_LOG = logging.getLogger(__name__)
_PROBE_SECONDS = 5.0

Row = Mapping[str, Any]


class DataConfig(Parameters):
    """What every benchmark can be told."""

    data: Path | None = Field(
        None,
        description="JSON Lines file of problems; if none, they are generated, or downloaded from "
        "the Hugging Face hub",
    )


class ListBenchmark:
    """A benchmark that is given by a function from a split to its problems."""

    def __init__(self, list_problems: Callable[[str], Iterable[Problem]]) -> None:
        """Remember the function; nothing is read yet."""
        self._list_problems = list_problems
        self._checker = AnswerChecker()
        self._patience: defaultdict[str, Patience] = defaultdict(Patience)

    @classmethod
    def of_test_split(cls, read: Callable[[], Iterable[Problem]]) -> Self:
        """Return a benchmark whose only split is "test"."""

        def list_problems(split: str) -> Iterable[Problem]:
            if split != "test":
                raise ProblemError(f"no split '{split}'; there is only test")
            return read()

        return cls(list_problems)

    def problems(self, split: str) -> Iterator[Problem]:
        """Yield the problems of a split, always in the same order.

        Raises:
            ProblemError: The split is unknown, or the data cannot be used.
        """
        return iter(self._list_problems(split))

    def grade(self, problem: Problem, answer: Answer) -> Grade:
        """Compare an answer with the problem's reference."""
        patience = self._patience[problem.id]
        return grading.grade(problem, answer, self._checker, patience=patience)


@dataclass(frozen=True, slots=True)
class Published:
    """A public data set, and how to know it again.

    Attributes:
        name: The benchmark's name.
        dataset: Name on the Hugging Face hub.
        answer_type: Of all its answers.
        num_problems: Rows of its test split.
        sha256: `digest` of its problems.
        to_row: Turns an upstream row and its position into one with `id`, `problem`, `answer`.
        config: The data set's configuration; empty for its only one.
    """

    name: str
    dataset: str
    answer_type: AnswerType
    num_problems: int
    sha256: str
    to_row: Callable[[Row, int], Row]
    config: str = ""

    def load(self, data: Path | None) -> ListBenchmark:
        """Return the benchmark, read from a JSON Lines file or else from the hub."""
        return ListBenchmark.of_test_split(
            lambda: self._from_file(data) if data else self._from_hub()
        )

    def _from_file(self, path: Path) -> list[Problem]:
        problems = read_problems(path, answer_type=self.answer_type)
        if problem := self.mismatch(problems):
            _LOG.warning("%s is not the published %s: %s", path, self.name, problem)
        return problems

    def _from_hub(self) -> list[Problem]:
        rows = _hub_rows(self.dataset, self.config)
        problems = [self._to_problem(row, index) for index, row in enumerate(rows)]
        if len(problems) != self.num_problems:
            raise ProblemError(
                f"{self.dataset} has {len(problems)} problems and {self.name} has "
                f"{self.num_problems}; give a copy of the published set with --data FILE"
            )
        if problem := self.mismatch(problems):
            _LOG.warning("%s has changed since its digest was taken: %s", self.dataset, problem)
        return problems

    def _to_problem(self, row: Row, index: int) -> Problem:
        where = f"{self.dataset}, row {index}"
        try:
            known = self.to_row(row, index)
        except KeyError as error:
            raise ProblemError(
                f"{where}: no column {error}, only {', '.join(row)}; the data set has changed, "
                "so give a copy with --data FILE"
            ) from error
        return to_problem(known, where, answer_type=self.answer_type)

    def mismatch(self, problems: Sequence[Problem]) -> str:
        """Say how problems differ from the published ones; empty when they do not."""
        found = digest(problems)
        if len(problems) == self.num_problems and found == self.sha256:
            return ""
        return (
            f"{len(problems)} problems with sha256 {found[:16]}, expected {self.num_problems} "
            f"with {self.sha256[:16]}; figures may not compare with published ones"
        )


def digest(problems: Sequence[Problem]) -> str:
    r"""Return the SHA-256, in hexadecimal, of the (problem, answer) pairs, whatever their order.

    A pair is a JSON list of statement and reference, non-ASCII characters as they are, ", "
    between the two. Each run of white space in them is one space, and the reference of an
    "integer" problem is in canonical form (27.0 is 27). The lines are sorted, joined by "\n" and
    hashed as UTF-8.
    """
    lines = sorted(
        json.dumps([_one_spaced(p.statement), _reference(p)], ensure_ascii=False) for p in problems
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _one_spaced(text: str) -> str:
    return " ".join(text.split())


def _reference(problem: Problem) -> str:
    text = problem.reference or ""
    return (
        canonical_form(text, "integer") if problem.answer_type == "integer" else _one_spaced(text)
    )


def _hub_rows(dataset: str, config: str) -> Sequence[Row]:
    """Return the rows of a data set's test split, or of its only split."""
    advice = "give a copy with --data FILE (JSON Lines with id, problem, answer)"
    _check_hub_address(os.environ.get("HF_ENDPOINT", ""))
    with optional_import(f"{dataset} from the Hugging Face hub"):
        from datasets import load_dataset  # takes over a second, and only the hub needs it
    if host := _unreachable_hub():
        raise ProblemError(
            f"cannot load {dataset}: {host} cannot be reached; {advice}, or set HF_HUB_OFFLINE=1 "
            "to use a copy that was downloaded before"
        )
    try:
        splits = load_dataset(dataset, config or None)
        return list(splits["test"] if "test" in splits else splits[next(iter(splits))])
    # The library raises what its many parts raise; any of it means that there is no data.
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "")
        raise ProblemError(
            f"cannot load {dataset}: {type(error).__name__}: {first_line}; {advice}"
        ) from error


def _check_hub_address(address: str) -> None:
    """Refuse what the hub's own library would meet with a traceback when it is imported."""
    try:
        _ = urlsplit(address).port
    except ValueError as error:
        raise ProblemError(f"HF_ENDPOINT {address!r} is no address: {error}") from error


def _unreachable_hub() -> str:
    """Return the hub's host when it cannot be reached; its own library would retry for 30 s."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or urllib.request.getproxies():
        return ""
    address = urlsplit(constants.ENDPOINT)
    host = address.hostname or ""
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=_PROBE_SECONDS).close()
    except OSError:
        return host
    return ""
