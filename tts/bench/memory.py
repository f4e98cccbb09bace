"""What a long run keeps in memory: nothing that grows with the problems that are done."""

import asyncio
import gc
import resource
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from tts.console import flags, output
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.evals.progress import Progress
from tts.evals.runner import Plan, evaluate
from tts.presets.load import load_preset
from tts.types import Grade, Problem

_MARKS = 10  # moments at which memory is read
_WARM = 2  # of them that are left out of the growth: pools and buffers fill


def memory(
    problems: Annotated[int, typer.Option("--problems", min=100, help="Problems of the run.")] = (
        5000
    ),
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples of each.")] = 16,
    tokens: Annotated[int, typer.Option("--tokens", min=16, help="Tokens of each sample.")] = 2048,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure how the memory of a run grows with the problems that are done.

    A run of self-consistency on a scripted engine whose samples are long texts with their token
    ids, in a folder of its own, as `tts eval` makes it. Memory is what the process has resident.

    Example: tts bench memory --problems 5000 --samples 16 --tokens 2048
    """
    with TemporaryDirectory(prefix="tts-memory-") as folder:
        marks = measure(Path(folder), problems=problems, samples=samples, tokens=tokens)
    growth = grown_by(marks)
    if as_json:
        rows = [{"problems": done, "bytes": size} for done, size in marks]
        output.print_json({"schema": 1, "marks": rows, "bytes_per_problem": growth})
        return
    output.print_lines(f"{done:>7,} problems  {size / 2**20:>7.1f} MiB" for done, size in marks)
    output.print_text(f"{growth / 1024:.1f} KiB per problem after the first {marks[_WARM][0]:,}")


def measure(root: Path, *, problems: int, samples: int, tokens: int) -> list[tuple[int, int]]:
    """Run; returns at each tenth the problems done and the bytes resident.

    Args:
        root: Takes the run folder.
        problems: How many.
        samples: Of each.
        tokens: Of each sample.
    """
    marks: list[tuple[int, int]] = []

    def look(progress: Progress) -> None:
        if progress.done >= problems * (len(marks) + 1) // _MARKS:
            gc.collect()
            marks.append((progress.done, _resident()))

    def say(ask: Ask) -> Line:
        engine.requests.clear()
        return Line("x" * (tokens - 10) + rf"\boxed{{{ask.seed % 3}}}", ticks=1)

    plan = Plan(
        "memory",
        tuple(_problems(problems)),
        lambda problem, answer: Grade(answer.canonical == problem.reference),
        load_preset("self_consistency", [f"n={samples}", f"sampling.max_tokens={tokens}"]),
        options={"engine": "scripted"},
    )
    engine = ScriptedEngine(say)
    asyncio.run(evaluate(plan, engine, root=root, on_progress=look))
    return marks


def grown_by(marks: list[tuple[int, int]]) -> float:
    """Return the bytes by which each problem has made the process larger."""
    (first, before), (last, after) = marks[_WARM], marks[-1]
    return (after - before) / (last - first)


def _problems(number: int) -> Iterator[Problem]:
    for place in range(number):
        said = str(place % 3)
        yield Problem(f"p{place}", f"Say {said}.", reference=said, answer_type="integer")


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
