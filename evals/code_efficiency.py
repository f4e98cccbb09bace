"""How fast right programs are: eff@k.

Source: ENAMEL (Qiu et al. 2024, "How Efficient is LLM-Generated Code? A Rigorous & High-Standard
Benchmark", arXiv:2406.06647; github.com/q-rz/enamel). Departures: times are CPU times of a process
and not wall times (`tts.verifiers._timing`), the published solution is timed here, once, where the
source corrects by timing it again; samples that their run has graded wrong have 0 without a test.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tts.evals.metrics import largest_of_k
from tts.evals.records import Record
from tts.types import Problem
from tts.verifiers._timing import Stopwatch, Timing

TIMEOUT_FACTOR = 2.0  # ENAMEL's default
LEAST_SECONDS = 1e-3  # what takes less differs by chance as much as by the program

Levels = Sequence[Sequence[str]]


def levels_of(metadata: Mapping[str, Any]) -> tuple[Levels, Sequence[float]]:
    """Return a problem's tests by level and the weight of each level; none where it has none.

    `levels` is a list of lists of tests as code, each level with harder inputs than the one before;
    `hardness` holds the weights, where 0 only asks for right results; all levels weigh the same if
    it is missing.
    """
    levels = metadata.get("levels") or []
    return levels, metadata.get("hardness") or [1.0] * len(levels)


def efficiency(
    times: Sequence[Sequence[Timing]],
    references: Sequence[Sequence[float]],
    hardness: Sequence[float],
) -> float:
    """Return the efficiency of one program, 0 to 1 and above where it is faster than the reference.

    With T = 2 x the slowest reference time of levels that weigh, a level has
    e = max(0, T - t) / (T - r), where t and r are the slowest times of program and reference on it.
    A level with a test that reached a limit, or took T or longer, and all levels above have 0; so
    has everything where a result is wrong. The efficiency is the weighted mean of e.

    Args:
        times: Of the program, by level; levels that were not run may be missing.
        references: Seconds of the published solution, by level.
        hardness: Weight of each level.
    """
    if any(timing.is_wrong for level in times for timing in level):
        return 0.0
    limit = limit_of(references, hardness)
    total = 0.0
    for level, reference, weight in zip(times, references, hardness, strict=False):
        seconds = [timing.seconds for timing in level]
        slowest = max((limit if value is None else value for value in seconds), default=0.0)
        if weight:
            total += weight * max(0.0, limit - slowest) / (limit - max(reference))
        if None in seconds or (weight and slowest >= limit):
            break
    return total / sum(hardness)


def limit_of(references: Sequence[Sequence[float]], hardness: Sequence[float]) -> float:
    """Return T, in seconds."""
    weighing = [max(level) for level, weight in zip(references, hardness, strict=True) if weight]
    return TIMEOUT_FACTOR * max(weighing)


def eff_at_k(efficiencies: Sequence[float], k: int) -> float:
    """Return the expected efficiency of the best of `k` of a problem's samples.

    eff@k = sum over r from k to n of C(r - 1, k - 1) / C(n, k) e_(r), where e_(r) is the r-th
    smallest: the expected largest of k drawn without replacement.

    Raises:
        ValueError: `k` is not in 1 to the number of samples.
    """
    return largest_of_k(efficiencies, k)


def answer_efficiency(record: Record, efficiencies: Sequence[float]) -> float:
    """Return the efficiency of the program that is a record's answer; 0 where it has none.

    Args:
        record: Of a problem.
        efficiencies: Of its samples.
    """
    for sample, value in zip(record.samples, efficiencies, strict=True):
        if sample.answer is not None and sample.answer == record.answer:
            return value
    return 0.0


async def efficiencies(
    problem: Problem, codes: Sequence[str | None], stopwatch: Stopwatch
) -> list[float] | None:
    """Measure programs on a problem's levels; None where its reference cannot be timed.

    That is one that fails, or takes less than `LEAST_SECONDS` on every level that weighs.

    Args:
        problem: With `levels` in its metadata and a published solution as its reference.
        codes: Of the samples; None for one that is known to be wrong.
        stopwatch: Times them.

    Raises:
        VerifierError: The sandbox cannot start.
    """
    levels, hardness = levels_of(problem.metadata)
    references: list[list[float]] = []
    for level in levels:
        timed = [await stopwatch.time(problem, problem.reference or "", test) for test in level]
        known = [timing.seconds for timing in timed if timing.seconds is not None]
        if len(known) < len(level) or not known:
            return None
        references.append(known)
    enough = limit_of(references, hardness)
    if enough < TIMEOUT_FACTOR * LEAST_SECONDS:
        return None
    measured: dict[str | None, float] = {None: 0.0}
    for code in codes:
        if code not in measured:
            assert code is not None
            times = await _times(problem, code, levels, stopwatch, enough)
            measured[code] = efficiency(times, references, hardness)
    return [measured[code] for code in codes]


async def _times(
    problem: Problem, code: str, levels: Levels, stopwatch: Stopwatch, enough: float
) -> list[list[Timing]]:
    """Time a program level by level, up to the first test that decides about the rest."""
    times: list[list[Timing]] = []
    for level in levels:
        times.append([])
        for test in level:
            timing = await stopwatch.time(problem, code, test, enough=enough)
            times[-1].append(timing)
            if timing.seconds is None or timing.seconds >= enough:
                return times
    return times
