"""How often our comparison of answers agrees with labels, and where it does not."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from tts.answers.groups import AnswerChecker, extract_answer
from tts.console import flags, output
from tts.errors import InputError
from tts.types import AnswerType


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers, and whether they are the same.

    Attributes:
        gold: The reference.
        candidate: What was answered: an answer, or a text that ends in one.
        is_equal: The label.
        is_text: The candidate is a whole text, in which the answer is to be found first.
        contested: Why people may disagree; empty where they do not.
    """

    gold: str
    candidate: str
    is_equal: bool
    is_text: bool
    contested: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A pair, what we say of it, and the wall seconds that this took."""

    pair: Pair
    says_equal: bool
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether we say what the label says."""
        return self.says_equal == self.pair.is_equal


def answers(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="JSON Lines with gold, pred, equivalent and, where it applies, contested.",
            metavar="FILE",
        ),
    ],
    as_json: flags.JsonFlag = False,
) -> None:
    """Compare labelled pairs of answers and list where we disagree.

    Pairs that people contest are compared too, but counted apart.

    Example: tts bench answers --data answer_equivalence.jsonl
    """
    compared = compare(read_pairs(data), "math")
    if as_json:
        output.print_json({"schema": 1, "data": str(data), **figures(compared)})
        return
    for line in describe(compared):
        output.print_text(line)


def read_pairs(path: Path) -> list[Pair]:
    """Read labelled pairs.

    Raises:
        InputError: The file cannot be read, or a line is no labelled pair.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    pairs = [_pair(path, number, line) for number, line in enumerate(lines, start=1) if line]
    if not pairs:
        raise InputError(f"{path}: no pairs of answers")
    return pairs


def _pair(path: Path, number: int, line: str) -> Pair:
    try:
        row = json.loads(line)
        return Pair(
            gold=str(row["gold"]),
            candidate=str(row["pred"]),
            is_equal=bool(row["equivalent"]),
            is_text=row.get("kind", "answer") != "answer",
            contested=str(row.get("contested") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}:{number}: no labelled pair; a line has gold, pred and equivalent"
        ) from error


def compare(pairs: list[Pair], answer_type: AnswerType) -> list[Compared]:
    """Compare each pair with the checker that grades runs."""
    checker = AnswerChecker()
    try:
        checker.are_equal("x+1", "1+x", answer_type)  # starts the worker, which is no comparison
        return [_compare(checker, pair, answer_type) for pair in pairs]
    finally:
        checker.close()


def _compare(checker: AnswerChecker, pair: Pair, answer_type: AnswerType) -> Compared:
    started = time.perf_counter()
    answer = extract_answer(pair.candidate, answer_type) if pair.is_text else pair.candidate
    says_equal = answer is not None and checker.are_equal(pair.gold, answer, answer_type)
    return Compared(pair, says_equal, time.perf_counter() - started)


def figures(compared: list[Compared]) -> dict[str, Any]:
    """Return agreement on uncontested and contested pairs, and the time of a comparison."""
    agreed = [one for one in compared if not one.pair.contested]
    contested = [one for one in compared if one.pair.contested]
    seconds = [one.seconds for one in compared]
    wrong = [one for one in agreed if not one.agrees]
    return {
        "pairs": len(agreed),
        "agreeing": len(agreed) - len(wrong),
        "false_equal": sum(one.says_equal for one in wrong),
        "false_different": sum(not one.says_equal for one in wrong),
        "contested": len(contested),
        "contested_agreeing": sum(one.agrees for one in contested),
        "median_seconds": median(seconds),
        "longest_seconds": max(seconds),
    }


def describe(compared: list[Compared]) -> Iterator[str]:
    """Yield the figures, and each disagreement on an uncontested pair, as lines for people."""
    found = figures(compared)
    if found["pairs"]:
        share = found["agreeing"] / found["pairs"]
        yield (
            f"{found['agreeing']} of {found['pairs']} uncontested pairs agree with their label "
            f"({share:.2%}): {found['false_equal']} false equal, "
            f"{found['false_different']} false different"
        )
    if found["contested"]:
        yield f"{found['contested_agreeing']} of {found['contested']} contested pairs agree"
    yield (
        f"a comparison takes {found['median_seconds'] * 1e3:.2f} ms (median), at most "
        f"{found['longest_seconds'] * 1e3:,.0f} ms"
    )
    for one in compared:
        if not one.agrees and not one.pair.contested:
            says = "false equal    " if one.says_equal else "false different"
            yield f"{says}  {one.pair.gold!r} / {one.pair.candidate!r}"
