"""Measure how fast the right programs of a run are: eff@k."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from tts.console import output
from tts.errors import InputError
from tts.evals.benchmarks import file
from tts.evals.code_efficiency import answer_efficiency, eff_at_k, efficiencies, levels_of
from tts.evals.metrics import bootstrap_interval, paired_bootstrap, pass_at_k
from tts.evals.records import Record
from tts.evals.stored_run import load_run, read_statements
from tts.storage.sealed_lines import LineWriter, encode_line, read_lines
from tts.types import Problem
from tts.verifiers._timing import Stopwatch
from tts.verifiers.execution import Config, build

_FILE = "efficiency.jsonl"
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("efficiency")
def efficiency_command(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run folder of problems with levels of tests, such as ENAMEL's.", metavar="RUN"
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Take tests and published solutions from this file's problems of the same ids.",
            metavar="FILE",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Time only the first problems, so many."),
    ] = None,
    tests: Annotated[
        int | None,
        typer.Option("--tests", min=1, help="Use only the first tests of each level, so many."),
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Time every test so often.")] = 6,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="Longest that a test may take.")
    ] = 5.0,
    unsafe_execution: Annotated[
        bool, typer.Option("--unsafe-execution", help="Run code even where nothing isolates it.")
    ] = False,
) -> None:
    """Time the right programs of a run on inputs that cost something, and print eff@k.

    Of the program that the preset chose for a problem it prints the efficiency too, beside that of
    a right one at random: what choosing the fastest (verifier `fastest`) gains.

    The same command again goes on where it was interrupted. Nothing else should run meanwhile.

    Example: tts efficiency runs/humaneval-best_of_n-0123456789 --data enamel.csv --tests 2
    """
    records = [record for record in load_run(run).records if record.samples]
    problems = {p.id: _with_tests(p, tests) for p in _problems(run, data)}
    solved = {record.id for record in records}
    order = [name for name, p in problems.items() if p.metadata["levels"] and name in solved]
    if not order:
        raise InputError(
            f"{data or run}: no problem of the run has levels of tests to be timed on there; those "
            "of ENAMEL have, whose file is named by --data"
        )
    config = Config(seconds=seconds, parallel=1, unsafe=unsafe_execution)
    how = {"data": data and str(data), "tests": tests, "repeats": repeats, "seconds": seconds}
    places = {name: place for place, name in enumerate(order[:limit])}
    records = sorted((r for r in records if r.id in places), key=lambda r: places[r.id])
    work = _measure(config, records, problems, run / _FILE, how)
    measured = output.run_async(work, if_interrupted="interrupted; the same command goes on")
    output.print_lines(_lines(measured))


def _problems(run: Path, data: Path | None) -> Iterator[Problem]:
    if data is not None:
        yield from file.build(file.Config(data=data)).problems("test")
        return
    for values in read_statements(run):
        reference, metadata = values["reference"], values["metadata"]
        yield Problem(values["problem"], reference=reference, answer_type="code", metadata=metadata)


def _with_tests(problem: Problem, tests: int | None) -> Problem:
    levels = [level[:tests] for level in levels_of(problem.metadata)[0]]
    return replace(problem, metadata={**problem.metadata, "levels": levels})


_Measured = list[tuple[Record, list[float] | None]]


async def _measure(
    config: Config,
    records: Sequence[Record],
    problems: dict[str, Problem],
    path: Path,
    how: dict[str, Any],
) -> _Measured:
    lines = list(read_lines(path))
    known = {
        (one.values["problem"], one.values["repeat"]): one.values["efficiencies"]
        for one in lines
        if one.values["how"] == how
    }
    end = lines[-1].end if lines else 0
    execution = build(config)
    measured: _Measured = []
    try:
        with contextlib.closing(LineWriter(path, end)) as writer:
            for record in records:
                key = record.id, record.repeat
                if key not in known:
                    codes = [sample.answer if sample.correct else None for sample in record.samples]
                    stopwatch = Stopwatch(execution, how["repeats"])
                    found = await efficiencies(problems[record.id], codes, stopwatch)
                    known[key] = found
                    line = {"problem": record.id, "repeat": record.repeat, "efficiencies": found}
                    writer.append(encode_line({**line, "how": how}))
                    output.print_note(f"{record.id}: {_shown(found)}")
                measured.append((record, known[key]))
    finally:
        await execution.aclose()
    return measured


def _shown(found: Sequence[float] | None) -> str:
    if found is None:
        return "left out, since its published solution cannot be timed"
    return ", ".join(f"{value:.2f}" for value in found)


def _lines(measured: _Measured) -> Iterator[str]:
    timed = [(record, found) for record, found in measured if found is not None]
    if not timed:
        yield "no published solution of these problems can be timed here"
        return
    k = 1
    while k <= min(len(found) for _, found in timed):
        values = [eff_at_k(found, k) for _, found in timed]
        low, high = bootstrap_interval(values, seed=0)
        passed = [
            pass_at_k(len(record.samples), sum(sample.correct for sample in record.samples), k)
            for record, _ in timed
        ]
        yield (
            f"eff@{k}   {sum(values) / len(values):.3f} [{low:.3f}, {high:.3f}], "
            f"pass@{k} {sum(passed) / len(passed):.1%}"
        )
        k *= 2
    yield from _answers(timed)
    yield (
        f"{len(timed)} problems, {len(measured) - len(timed)} left out, whose published solutions "
        "cannot be timed"
    )


def _answers(timed: Sequence[tuple[Record, Sequence[float]]]) -> Iterator[str]:
    """Say how fast the programs are that the preset chose, beside others that are right."""
    chosen = [answer_efficiency(record, found) for record, found in timed]
    low, high = bootstrap_interval(chosen, seed=0)
    yield f"answer  {sum(chosen) / len(chosen):.3f} [{low:.3f}, {high:.3f}]"
    pairs = [
        (fmean(value for value, s in zip(found, record.samples, strict=True) if s.correct), value)
        for (record, found), value in zip(timed, chosen, strict=True)
        if record.correct
    ]
    if pairs:
        others, answers = zip(*pairs, strict=True)
        gain, low, high = paired_bootstrap(others, answers, seed=0)
        yield (
            f"  where it is right, {len(pairs)} problems: {fmean(answers):.3f}, a right sample at "
            f"random {fmean(others):.3f}: {gain:+.3f} [{low:+.3f}, {high:+.3f}]"
        )
