"""Problems of a pool of recorded samples, for `--model replay:FILE[#model]`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tts.answers.groups import canonical_form
from tts.engine.pools import (
    Pool,
    RecordedProblem,
    load_pool,
    load_series,
    read_rows,
    split_address,
)
from tts.errors import ProblemError
from tts.evals.benchmarks.base import DataConfig, ListBenchmark
from tts.evals.laws.series import Series
from tts.evals.pool_export import write_pool
from tts.evals.records import Record, Sample
from tts.types import RECORDED, Answer, Grade, Problem, Usage


class PoolBenchmark(ListBenchmark):
    """Grades an answer as the pool's samples were graded, and by comparison where none gave it."""

    def __init__(self, address: str, *, unsafe: bool = False) -> None:
        """Remember the pool; it is read when its problems are."""
        super().__init__(self._read, unsafe=unsafe)
        self._address = address
        self._labels: dict[str, dict[str, bool]] = {}

    def grade(self, problem: Problem, answer: Answer) -> Grade:
        """Look the answer up among the recorded ones, else grade it as other benchmarks do."""
        labels = self._labels.get(problem.id, {})
        for key in (answer.text, canonical_form(answer.text, problem.answer_type)):
            if key in labels:
                return Grade(labels[key], "as recorded")
        return super().grade(problem, answer)

    def _read(self, split: str) -> list[Problem]:
        if split != "test":
            raise ProblemError(f"no split '{split}'; there is only test")
        recorded = load_pool(self._address).problems
        self._labels = {r.problem.id: _labels(r) for r in recorded}
        return [r.problem for r in recorded]


class Config(DataConfig):
    """Where the pool is: its file, "#model" after it if it holds several."""


def build(config: Config) -> PoolBenchmark:
    """Return the benchmark.

    Raises:
        ProblemError: No pool is given.
    """
    if config.data is None:
        raise ProblemError("the benchmark pool needs --model replay:FILE[#model]")
    if config.map:
        raise ProblemError("a pool has columns of its own, which --map cannot rename")
    return PoolBenchmark(str(config.data), unsafe=config.unsafe_execution)


def fill_in_statements(pool: Path, problems: Iterable[Problem], out: Path) -> int:
    """Write a pool with the statements of its problems, which its file may have left out.

    Args:
        pool: The file.
        problems: Of the benchmark that the pool was drawn from, the pool's among them.
        out: The file to write; compressed where its name ends in ".gz".

    Returns:
        How many lines it has.

    Raises:
        ProblemError: The pool cannot be read, or a problem of it is not among those, or has
            another answer there.
        StoreError: The file cannot be written.
    """
    known = {problem.id: problem for problem in problems}
    rows = []
    for where, row in read_rows(pool):
        name = str(row.get("problem_id", row.get("id")))
        problem = known.get(name)
        if problem is None:
            raise ProblemError(f"{where}: {name} is none of the {len(known):,} problems given")
        gold = row.get("gold", row.get("answer"))
        if gold is not None and problem.reference is not None and str(gold) != problem.reference:
            raise ProblemError(
                f"{where}: the answer to {problem.id} is {gold} there and {problem.reference} here"
            )
        rows.append({**row, "problem": problem.statement})
    write_pool(out, rows)
    return len(rows)


def series_of_pools(address: str) -> list[Series]:
    """Return each model of a pool as a series, those without a sample of some problem left out.

    Problems whose samples were not graded are left out; equal answers are those of one form, and
    the right ones are one.

    Args:
        address: "FILE" for every model in it, or "FILE#model".

    Raises:
        ProblemError: The file cannot be read, or holds no graded samples.
    """
    path, wanted = split_address(address)
    pools = [load_pool(address)] if wanted else list(load_series(path).values())
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
    found = []
    for pool in pools:
        records = [r for recorded in pool.problems if (r := _record(recorded)) is not None]
        if records:
            name = stem if len(pools) == 1 and not wanted else f"{stem}#{pool.series}"
            metadata = {r.problem.id: r.problem.metadata for r in pool.problems}
            found += _by_model(Series(name, pool.series, records, pool.shape, metadata), pool)
    if not found:
        raise ProblemError(f"{address}: no problem has graded samples")
    return found


def _by_model(series: Series, pool: Pool) -> list[Series]:
    """Return a series for each model whose samples the lines of a pool mix."""
    if not pool.is_mixed:
        return [series]
    drawn = {recorded.problem.id: recorded.samples for recorded in pool.problems}
    models = dict.fromkeys(s.model or "recorded" for samples in drawn.values() for s in samples)
    found: dict[str, list[Record]] = {model: [] for model in models}
    for record in series.records:
        by_model: dict[str, list[Sample]] = {}
        for sample, recorded in zip(record.samples, drawn[record.id], strict=True):
            by_model.setdefault(recorded.model or "recorded", []).append(sample)
        for model, samples in by_model.items():
            found[model].append(replace(record, samples=tuple(samples)))
    return [
        replace(series, name=m, model=m, records=found[m], shape=None) for m in models if found[m]
    ]


def _record(recorded: RecordedProblem) -> Record | None:
    """Return a problem with its samples; None without any, or where one was not graded."""
    drawn, kind = recorded.samples, recorded.problem.answer_type
    if not drawn or any(sample.correct is None for sample in drawn):
        return None
    classes: dict[str, int] = {}
    samples = []
    for sample in drawn:
        form = (
            "" if sample.answer is None or sample.correct else canonical_form(sample.answer, kind)
        )
        known = None if sample.answer is None else classes.setdefault(form, len(classes))
        score = {} if sample.score is None else {RECORDED: sample.score}
        samples.append(Sample(sample.answer, known, sample.correct is True, sample.tokens, score))
    tokens = [sample.tokens for sample in drawn]
    counted = [number for number in tokens if number is not None]
    total = sum(counted) if len(counted) == len(tokens) else None
    prompt = None if recorded.prompt_tokens is None else len(drawn) * recorded.prompt_tokens
    usage = replace(
        Usage.unknown(len(drawn)), prompt_tokens=prompt, generated_tokens=total, checking_tokens=0
    )
    return Record(recorded.problem.id, 0, None, None, usage, None, "", tuple(samples), False)


def _labels(recorded: RecordedProblem) -> dict[str, bool]:
    """Return the recorded correctness of each answer; of each text before its canonical form."""
    labels: dict[str, bool] = {}
    graded = [(s.answer, s.correct) for s in recorded.samples if s.answer is not None]
    for answer, correct in graded:
        if correct is not None:
            labels.setdefault(answer.strip(), correct)
    for answer, correct in graded:
        if correct is not None:
            labels.setdefault(canonical_form(answer, recorded.problem.answer_type), correct)
    return labels
