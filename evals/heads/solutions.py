"""The sampled solutions of recorded runs, with their texts and grades."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from tts.answers.checker import AnswerChecker
from tts.errors import InputError
from tts.evals.pool_export import Texts
from tts.evals.stored_run import StoredRun, load_run, read_statements
from tts.types import AnswerType, Problem, States


@dataclass(frozen=True, slots=True)
class Solution:
    """A sample as it was drawn.

    Attributes:
        benchmark: Of its problem.
        problem: It.
        answer_class: Equal answers of one problem have the same; None without an answer.
        is_right: Whether the answer equals the reference.
        text: What was generated.
        answer: As it was written; None without one.
        scores: Of the verifiers of the run, by name.
        fingerprint: Of the engine that drew it.
        states: That came with it; None if none did.
        prompt_token_ids: Ids sent; empty where the engine did not say.
        token_ids: Ids generated; the same.
    """

    benchmark: str
    problem: Problem
    answer_class: int | None
    is_right: bool
    text: str
    answer: str | None
    scores: Mapping[str, float]
    fingerprint: str
    states: States | None
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()


def read_solutions(folders: Iterable[Path], *, limit: int | None = None) -> Iterator[Solution]:
    """Yield the independent samples of the first repeat of every graded problem of runs.

    Samples whose text no single completion is are left out.

    Args:
        folders: Of the runs.
        limit: Only the first so many problems of each.

    Raises:
        InputError: A run asked several models, none of its problems is graded, or it holds no text
            of its samples.
        StoreError: A folder holds no run.
    """
    for folder in folders:
        run = load_run(folder)
        if set(run.config.get("samplers", ())) - {""}:
            raise InputError(f"{folder}: its samples come from several engines")
        records = {r.id: r for r in run.records if r.repeat == 0 and r.correct is not None}
        if not records:
            raise InputError(f"{folder}: none of its problems is finished and graded")
        found = False
        texts = Texts(folder, ("prompt_token_ids", "token_ids", "states"))
        for stated in islice(read_statements(folder), limit):
            record = records.get(stated["problem"])
            for sample in () if record is None else record.independent_samples:
                assert record is not None
                if said := texts.of(record, sample):
                    found = True
                    yield Solution(
                        benchmark=str(run.config["benchmark"]),
                        problem=_problem(stated),
                        answer_class=sample.answer_class,
                        is_right=sample.correct,
                        text=said["text"],
                        answer=sample.answer,
                        scores=sample.scores,
                        fingerprint=str(run.config["fingerprint"]),
                        states=States.from_mapping(said["states"]) if "states" in said else None,
                        prompt_token_ids=tuple(said.get("prompt_token_ids", ())),
                        token_ids=tuple(said.get("token_ids", ())),
                    )
        if not found:
            raise InputError(
                f"{folder}: it holds no text of its samples: no single completion makes up any of "
                "them; name a run whose samples are whole answers, such as one of self_consistency"
            )


def taught(solutions: Iterable[Solution], teacher: StoredRun) -> list[bool | None]:
    """Say which solutions give the answer that another run found for their problem.

    Args:
        solutions: Theirs.
        teacher: A run of the same benchmark, by a stronger model or with more samples.

    Returns:
        None for a solution of a problem of which the run has no answer.

    Raises:
        InputError: Their answers are no text that can be compared.
    """
    answers = {r.id: r.answer for r in teacher.records if r.repeat == 0 and r.answer is not None}
    labels: list[bool | None] = []
    with AnswerChecker() as checker:
        for one in solutions:
            kind, answer = one.problem.answer_type, answers.get(one.problem.id)
            if kind in ("code", "countdown", "free"):
                raise InputError(f"{one.problem.id}: right answers of type {kind!r} may differ")
            if one.benchmark != teacher.config["benchmark"] or answer is None:
                labels.append(None)
            else:
                labels.append(
                    one.answer is not None and checker.are_equal(answer, one.answer, kind)
                )
    return labels


def _problem(stated: dict[str, Any]) -> Problem:
    return Problem(
        id=stated["problem"],
        statement=stated["statement"],
        answer_type=cast("AnswerType", stated["answer_type"]),
    )
