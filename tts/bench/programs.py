"""Attempts at tests in kept sandboxes, and in a Python that is started for every test."""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Annotated

import typer

from tts.console import flags, output
from tts.errors import TTSError
from tts.verifiers._sandbox.pool import Pool
from tts.verifiers._sandbox.sandbox import Assertions, Limits, Outcome, Sandbox

Measured = dict[str, list["Side"]]
_Run = Callable[[str, Sequence[Assertions]], Awaitable[list[Outcome]]]
_STARTED = "a Python started for each test, not shut in"


@dataclass(frozen=True, slots=True)
class Side:
    """What an attempt with all its tests took, in the mean.

    Attributes:
        wall_seconds: From first to last, over the number of attempts.
        cpu_seconds: Of this process and of all that it started.
    """

    wall_seconds: float
    cpu_seconds: float


def programs(
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, help="Attempts that kept sandboxes run in a round.")
    ] = 1000,
    started: Annotated[
        int,
        typer.Option(
            "--started", min=1, help="Attempts for which a Python is started for every test."
        ),
    ] = 100,
    tests: Annotated[int, typer.Option("--tests", min=1, help="Tests of an attempt.")] = 10,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Rounds, in which all sides take turns.")
    ] = 3,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure what running an attempt's code against its tests costs.

    Three sides run attempts, half of them wrong, as many at once as this machine has cores: plain
    assertions in kept sandboxes, where they share their processes; tests that import something,
    which have processes of their own there; and a Python process that is started for every test
    and that nothing shuts in, as a plain script would run them.

    Example: tts bench programs --attempts 200 --rounds 2
    """
    work = measure(attempts, started, tests, rounds)
    sides = output.run_async(work, if_interrupted="interrupted")
    if as_json:
        values = {name: [asdict(side) for side in found] for name, found in sides.items()}
        output.print_json({"schema": 1, "tests": tests, "sides": values})
        return
    output.print_text(
        f"{tests} tests an attempt, {os.cpu_count()} at once, {rounds} rounds, medians; "
        f"{attempts:,} attempts a round in kept sandboxes, {started:,} otherwise"
    )
    output.print_lines(describe(sides))


def describe(sides: Measured) -> Iterator[str]:
    """Yield what an attempt takes on each side, and how often that goes into the last one's."""
    last = sides[_STARTED]
    for name, found in sides.items():
        wall, cpu = (
            median(getattr(side, key) for side in found) for key in ("wall_seconds", "cpu_seconds")
        )
        line = f"{name}: {wall * 1e3:.1f} ms of wall time an attempt, {cpu * 1e3:.1f} ms of CPU"
        if found is last:
            yield line
            continue
        pairs = list(zip(found, last, strict=True))
        yield (
            f"{line}; {median(b.wall_seconds / a.wall_seconds for a, b in pairs):.1f} and "
            f"{median(b.cpu_seconds / a.cpu_seconds for a, b in pairs):.1f} times less"
        )


async def measure(attempts: int, started: int, tests: int, rounds: int) -> Measured:
    """Run all sides in turns.

    Raises:
        VerifierError: Nothing here isolates code.
        TTSError: A side says something else of an attempt than the attempt deserves.
    """
    sandbox, size = Sandbox(Limits()), os.cpu_count() or 1
    plain = [Assertions(f"assert f({x}) == {x * x}") for x in range(tests)]
    alone = [Assertions(f"import math\n{test.text}") for test in plain]

    sides: Measured = {"plain tests": [], "tests with processes of their own": [], _STARTED: []}
    for number in range(rounds):
        pool = Pool(sandbox, size)
        kept, single = list(sides.values())[:2], sides[_STARTED]
        for side, asked in zip(kept, (plain, alone), strict=True):
            side.append(await _time(pool.run, asked, attempts, size, pool.aclose))
        single.append(await _time(_run_anew, plain, started, size))
        output.print_note(f"round {number + 1} of {rounds}")
    return sides


async def _run_anew(code: str, tests: Sequence[Assertions]) -> list[Outcome]:
    found = []
    for test in tests:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", f"{code}\n{test.text}"),
            stderr=asyncio.subprocess.DEVNULL,
        )
        found.append(Outcome(await process.wait()))
    return found


async def _time(
    run: _Run,
    tests: Sequence[Assertions],
    attempts: int,
    size: int,
    end: Callable[[], Awaitable[None]] | None = None,
) -> Side:
    """Run attempts, so many at once; `end` ends what is kept, whose time counts only then."""
    slots = asyncio.Semaphore(size)

    async def one(number: int) -> None:
        # No two are equal, as no two programs of a model are.
        is_right = number % 2 == 0
        code = f"def f(x):\n    return x * x + {0 if is_right else 1}  # {number}\n"
        async with slots:
            outcomes = await run(code, tests)
        if any((outcome.exit_code == 0) is not is_right for outcome in outcomes):
            raise TTSError(f"an attempt was misjudged: {outcomes}")

    began, spent = time.perf_counter(), _cpu_seconds()
    async with asyncio.TaskGroup() as group:
        for number in range(attempts):
            group.create_task(one(number))
    if end is not None:
        await end()
    wall = time.perf_counter() - began
    return Side(wall / attempts, (_cpu_seconds() - spent) / attempts)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
