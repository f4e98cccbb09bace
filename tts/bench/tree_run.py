"""The cells of the tree benchmark: what is run, in which order, on which engine.

A cell is one method at one width on one task: a run of `tts eval` in a folder of its own, so that
the same command goes on where it was killed. Cells with a scarce KV cache run on a second engine.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from tts.bench.engines import forget, open_reward
from tts.bench.tree_figures import TreeFigures, load_outcomes, search_figures
from tts.costs.flops import kv_token_bytes
from tts.engine.running import POLICY_MEMORY
from tts.engine.vllm import VLLMEngine
from tts.evals.runner import Plan, evaluate
from tts.parts.build import build_part
from tts.presets.load import Preset, load_preset
from tts.protocols import Engine, Verifier
from tts.runtime.runtime import DEFAULT_MAX_LIVE_KV
from tts.session.verifiers import build_verifiers
from tts.types import Problem
from tts.types.figures import Interval, Summary

LEVELS = (3, 4, 5)
COVERAGE = {16: 1.5, 64: 1.4, 256: 1.45}  # as published for ETS, by width
BASE = "rebase"
METHODS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "rebase": ("rebase", ("width={width}",)),
    "rebase-async": ("rebase", ("width={width}", "barrier=false")),
    "rebase+merge": ("rebase", ("width={width}", "merge=true")),
    "ets": ("ets", ("width={width}", "coverage={coverage}")),
    "ets+merge": ("ets", ("width={width}", "coverage={coverage}", "merge=true")),
    "beam_search": ("beam_search", ("width={width}", "branching=4")),
    "dvts": ("dvts", ("width={width}", "branching=4")),
    "mcts": ("mcts", ("solutions={width}", "expansions={width}", "parallel=16")),
    "best_of_n": ("weighted_vote", ("n={samples}", "stop=never")),
    "rebase+turns": ("rebase", ("width={width}",)),
    "ets-joint": ("ets_joint", ("width={width}", "coverage={coverage}", "merge=false")),
    "ets-joint+merge": ("ets_joint", ("width={width}", "coverage={coverage}", "merge=true")),
}
# By the largest width at which it runs by default; all of them run at 64 with --full.
NARROW = ("beam_search", "dvts", "mcts", "best_of_n")
WIDE = ("rebase", "rebase+turns", "rebase-async", "ets", "ets+merge")
WIDEST = ("rebase", "ets", "ets+merge")
FOR_SCARCE = ("rebase+turns", "ets-joint", "ets-joint+merge")  # else they do nothing of their own
SCARCE = (*WIDEST, *FOR_SCARCE)  # those that run with a scarce KV cache
MAX_LIVE_KV = {"rebase+turns": DEFAULT_MAX_LIVE_KV}  # by method; the others take no turns
BLOCK_SIZE = 16  # tokens, as vLLM has it on GPUs
SCARCE_BLOCKS = 128
SCARCE_CONTEXT = 1024  # vLLM wants room for a whole context; these problems take less
_SESSION_FILE = "loop.json"

Cache = Literal["ample", "scarce"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One method at one width on one task."""

    task: str
    method: str
    width: int
    cache: Cache


@dataclass(frozen=True, slots=True)
class LoopShare:
    """What all but the engines and the reward model took, measured on the event loop's thread.

    Attributes:
        of_wall: CPU seconds of the thread over wall seconds.
        of_cpu: The same over the CPU seconds of the whole process, which a busy machine leaves as
            they are.
    """

    of_wall: float
    of_cpu: float


@dataclass(frozen=True, slots=True)
class CellFigures:
    """What came of a cell.

    Attributes:
        cell: Which one.
        samples: Of best-of-n: drawn for each problem, at REBASE's tokens; the width elsewhere.
        problems: How many.
        accuracy: Share of right answers.
        interval: Its 95 % interval.
        tokens: Generated per problem, look-ahead and pruned branches included.
        seconds: Of the whole cell, all its sessions.
        steps_per_second: Tree nodes over all problems and the cell's seconds.
        loop: Bookkeeping.
        preemptions: How often a running request lost its KV blocks; None where that is unknown.
        search: What was held.
        out: The run's folder.
    """

    cell: Cell
    samples: int
    problems: int
    accuracy: float
    interval: Interval
    tokens: float | None
    seconds: float
    steps_per_second: float | None
    loop: LoopShare
    preemptions: int | None
    search: TreeFigures
    out: str

    def to_json(self) -> dict[str, Any]:
        """Return one flat object."""
        values = asdict(self)
        return {**values.pop("cell"), **values.pop("search"), **values}


def default_methods(width: int, *, full: bool) -> tuple[str, ...]:
    """Return the methods of a width: fewer as it grows, so that all end in half an hour."""
    if width > 64:
        return WIDEST
    if full:
        return tuple(dict.fromkeys((*WIDE, *NARROW, *FOR_SCARCE)))
    return (*WIDE, *NARROW) if width <= 16 else WIDE


def plan_cells(tasks: Sequence[str], methods_by_width: Mapping[int, Sequence[str]]) -> list[Cell]:
    """Return all cells, those of one task and width next to each other, REBASE first.

    Best-of-n needs REBASE's tokens, and so comes after it. The cells with a scarce cache are the
    last, on the first task at the second width (the first if there is no other): there one
    problem's tree does not fill the cache alone, but a few do.
    """
    ordered = {
        width: sorted(methods, key=lambda method: method != BASE)
        for width, methods in methods_by_width.items()
    }
    ample = [
        Cell(task, method, width, "ample")
        for task in tasks
        for width, methods in ordered.items()
        for method in methods
        if method not in FOR_SCARCE
    ]
    width = list(ordered)[:2][-1]
    scarce = [method for method in ordered[width] if method in SCARCE]
    return ample + [Cell(tasks[0], method, width, "scarce") for method in scarce]


def cell_preset(cell: Cell, *, samples: int, verifier: str) -> Preset:
    """Return the preset of a cell, all with the same sampling profile.

    Args:
        cell: Which one.
        samples: Of best-of-n.
        verifier: Scores steps.
    """
    name, settings = METHODS[cell.method]
    values = {
        "width": cell.width,
        "samples": samples,
        "coverage": COVERAGE.get(cell.width, COVERAGE[16]),
    }
    overrides = [setting.format(**values) for setting in settings]
    overrides += [f"verifier={verifier}", "sampling.temperature=1.0", "sampling.max_tokens=512"]
    return replace(load_preset(name, overrides), name=cell.method)


def equal_samples(base: CellFigures | None, width: int) -> int:
    """Return how many whole samples cost what REBASE generated; `width` without REBASE."""
    if base is None or not base.tokens or not base.search.solution_tokens:
        return width
    return max(1, round(base.tokens / base.search.solution_tokens))


def task_problems(task: str, number: int) -> tuple[Problem, ...]:
    """Return the first problems of the hard levels of a task."""
    found = build_part("benchmark", task, {}).problems("test")
    return tuple(islice((p for p in found if p.metadata.get("level") in LEVELS), number))


@dataclass(frozen=True, slots=True)
class Settings:
    """What all cells have in common.

    Attributes:
        problems: Problems per task.
        verifier: Scores steps.
        model: Model of the embedded vLLM.
        kv_bytes: Size of the scarce KV cache; None is `SCARCE_BLOCKS` blocks.
        out: Holds the runs.
    """

    problems: int
    verifier: str
    model: str
    kv_bytes: int | None
    out: Path


async def measure(
    plan: Sequence[Cell], settings: Settings, note: Callable[[str], None]
) -> dict[Cell, CellFigures]:
    """Run all cells, or what is left of them, those with a scarce cache on a second engine.

    Args:
        plan: The cells; a cell that is measured by REBASE's tokens comes after REBASE's.
        settings: What they have in common.
        note: Told what begins.
    """
    rows: dict[Cell, CellFigures] = {}
    first = cell_preset(plan[0], samples=1, verifier=settings.verifier)
    async with AsyncExitStack() as opened:
        half = POLICY_MEMORY / 2  # the scarce one runs beside it
        policy = VLLMEngine(settings.model, gpu_memory_utilization=half, block_size=BLOCK_SIZE)
        engine = await opened.enter_async_context(policy)
        rewards = await open_reward(settings.verifier, opened)
        verifiers = build_verifiers([first.pipeline], rewards)
        for cell in plan:
            if cell.cache == "ample":
                await forget(rewards.values())
                on = _Engines(engine, verifiers, None)
                rows[cell] = await _run(cell, settings, on, rows, note)
        scarce = [cell for cell in plan if cell.cache == "scarce"]
        if not scarce:
            return rows
        size = settings.kv_bytes or SCARCE_BLOCKS * BLOCK_SIZE * kv_token_bytes(engine.info)
        small = await opened.enter_async_context(
            VLLMEngine(
                settings.model,
                gpu_memory_utilization=half,
                block_size=BLOCK_SIZE,
                kv_cache_memory_bytes=size,
                max_model_len=SCARCE_CONTEXT,
            )
        )
        for cell in scarce:
            await forget(rewards.values())
            on = _Engines(small, verifiers, size)
            rows[cell] = await _run(cell, settings, on, rows, note)
    return rows


@dataclass(frozen=True, slots=True)
class _Engines:
    """What a cell runs on; `kv_bytes` is the size of its KV cache where that was given."""

    engine: Engine
    verifiers: Mapping[str, Verifier]
    kv_bytes: int | None


async def _run(
    cell: Cell,
    settings: Settings,
    on: _Engines,
    rows: Mapping[Cell, CellFigures],
    note: Callable[[str], None],
) -> CellFigures:
    samples = cell.width
    if cell.method == "best_of_n":
        samples = equal_samples(rows.get(replace(cell, method=BASE)), cell.width)
    plan = Plan(
        benchmark=cell.task,
        problems=task_problems(cell.task, settings.problems),
        grade=build_part("benchmark", cell.task, {}).grade,
        preset=cell_preset(cell, samples=samples, verifier=settings.verifier),
        options={"engine": "vllm", "block_size": BLOCK_SIZE, "kv_bytes": on.kv_bytes},
    )
    note(f"{cell.task} {cell.method} {samples} {cell.cache}")
    before = on.engine.num_preemptions()
    cpu, loop, wall = time.process_time(), time.thread_time(), time.monotonic()
    summary = await evaluate(
        plan,
        on.engine,
        root=settings.out,
        verifiers=on.verifiers,
        max_live_kv=MAX_LIVE_KV.get(cell.method),
    )
    spent = time.thread_time() - loop
    session: dict[str, Any] = {
        "of_wall": spent / (time.monotonic() - wall),
        "of_cpu": spent / max(1e-9, time.process_time() - cpu),
    }
    if before is not None and (after := on.engine.num_preemptions()) is not None:
        session["preemptions"] = after - before
    session = _first_measured(Path(summary.out) / _SESSION_FILE, session)
    return cell_figures(cell, samples, summary, session)


def cell_figures(
    cell: Cell, samples: int, summary: Summary, session: Mapping[str, Any]
) -> CellFigures:
    """Return the figures of a finished cell from its summary, its folder and its session's own."""
    search = search_figures(load_outcomes(Path(summary.out)))
    seconds = summary.seconds
    steps = None if search.steps is None else search.steps * summary.problems
    return CellFigures(
        cell=cell,
        samples=samples,
        problems=summary.problems,
        accuracy=summary.accuracy,
        interval=summary.interval,
        tokens=summary.cost.tokens,
        seconds=seconds,
        steps_per_second=steps / seconds if steps and seconds else None,
        loop=LoopShare(session["of_wall"], session["of_cpu"]),
        preemptions=session.get("preemptions"),
        search=search,
        out=summary.out,
    )


def _first_measured(file: Path, measured: dict[str, Any]) -> dict[str, Any]:
    """Return what the session that ran the cell had measured; later ones only read the cell."""
    if not file.exists():
        file.write_text(json.dumps(measured), encoding="utf-8")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
