"""The sampled solutions of recorded runs, with their texts and grades."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tts.errors import InputError
from tts.evals.pool_export import Texts
from tts.evals.run_store import load_run, read_statements
from tts.types import AnswerType, Problem


@dataclass(frozen=True, slots=True)
class Solution:
    """A sample as it was drawn.

    Attributes:
        benchmark: Of its problem.
        problem: It.
        answer_class: Equal answers of one problem have the same; None without an answer.
        is_right: Whether the answer equals the reference.
        text: What was generated.
        prompt_token_ids: Ids sent; empty where the engine did not say.
        token_ids: Ids generated; the same.
    """

    benchmark: str
    problem: Problem
    answer_class: int | None
    is_right: bool
    text: str
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()


def read_solutions(folders: Iterable[Path]) -> Iterator[Solution]:
    """Yield the independent samples of the first repeat of every graded problem of runs.

    Samples whose text no single completion is are left out.

    Raises:
        InputError: A run asked several models, or none of its problems is graded.
        StoreError: A folder holds no run.
    """
    for folder in folders:
        run = load_run(folder)
        if set(run.config.get("samplers", ())) - {""}:
            raise InputError(f"{folder}: its samples come from several engines")
        records = {r.id: r for r in run.records if r.repeat == 0 and r.correct is not None}
        if not records:
            raise InputError(f"{folder}: none of its problems is finished and graded")
        texts = Texts(folder, ("prompt_token_ids", "token_ids"))
        for stated in read_statements(folder):
            record = records.get(stated["problem"])
            for sample in () if record is None else record.independent_samples:
                assert record is not None
                if said := texts.of(record, sample):
                    yield Solution(
                        benchmark=str(run.config["benchmark"]),
                        problem=_problem(stated),
                        answer_class=sample.answer_class,
                        is_right=sample.correct,
                        text=said["text"],
                        prompt_token_ids=tuple(said.get("prompt_token_ids", ())),
                        token_ids=tuple(said.get("token_ids", ())),
                    )


def _problem(stated: dict[str, Any]) -> Problem:
    return Problem(
        id=stated["problem"],
        statement=stated["statement"],
        answer_type=cast("AnswerType", stated["answer_type"]),
    )
