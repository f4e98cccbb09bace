"""What learning from one problem to the next is worth, by how many were seen before."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from tts.bench.engines import load_finished, runtime_of
from tts.console import flags, output
from tts.console.progress import watch
from tts.evals.metrics import mean_difference
from tts.evals.report import accuracy_by_problem
from tts.evals.runner import Plan
from tts.evals.stored_run import MEMORY, log_of
from tts.evaluation import Scope, plan_all, run_plans
from tts.presets.load import load_preset
from tts.session.runtime import DEFAULT_MODEL, Runtime

ARMS = ("learning", "frozen", "empty")
_FROZEN = "learn=never"
Marks = Mapping[str, float]  # 1 for a problem that was solved and 0 for another, by its id


def lessons(
    benchmark: Annotated[
        str, typer.Argument(help="The benchmark whose problems are solved.", metavar="BENCHMARK")
    ] = "chain",
    preset: Annotated[
        str,
        typer.Option("--preset", help="A preset that learns: concept_memory, example_cache."),
    ] = "example_cache",
    overrides: flags.SetFlag = None,
    data: flags.DataFlag = None,
    split: Annotated[
        str, typer.Option("--split", help="The part of the benchmark that is used.")
    ] = "test",
    limit: Annotated[
        int, typer.Option("--limit", min=4, help="Problems of an order; the frozen memory's, too.")
    ] = 40,
    orders: Annotated[int, typer.Option("--orders", min=1, help="Orders of the problems.")] = 3,
    parts: Annotated[
        int, typer.Option("--parts", min=1, help="Parts of an order that are shown apart.")
    ] = 4,
    model: flags.ModelFlag = DEFAULT_MODEL,
    engine_args: flags.EngineArgFlag = None,
    engine_for: flags.EngineForFlag = None,
    seed: flags.SeedFlag = 0,
    out: flags.OutFlag = Path("runs/bench_lessons"),
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure accuracy against the number of problems seen: learning, frozen and empty memory.

    The same problems run in several orders. The frozen memory is that of a run on as many problems
    that follow them in the benchmark; the empty one learns nothing: to these two the order is
    nothing, so that they solve each problem once. What was drawn with the empty memory is not drawn
    again. The same command again goes on where it was interrupted.

    Example: tts bench lessons gsm8k --split calibration --preset example_cache --limit 40
    """
    scope = Scope.of(data=data, split=split, limit=limit, seed=seed)
    runtime = runtime_of(model, engine_args, engine_for)
    bench = _Bench(runtime, benchmark, preset, tuple(overrides or ()), scope, out)
    measured = output.run_async(
        bench.run(orders), if_interrupted="interrupted; the same command goes on"
    )
    figures = figures_of(measured, parts)
    if as_json:
        output.print_json({"schema": 1, "seed": seed, "model": model, **figures})
        return
    _print(figures)


@dataclass(frozen=True, slots=True)
class Measured:
    """Which problems were solved.

    Attributes:
        learning: In each order, whose problems are in it.
        frozen: With a memory that stays as it is.
        empty: Without any.
    """

    learning: Sequence[Marks]
    frozen: Marks
    empty: Marks


@dataclass(frozen=True, slots=True)
class _Bench:
    """All runs of the benchmark."""

    runtime: Runtime
    benchmark: str
    preset: str
    overrides: tuple[str, ...]
    scope: Scope
    out: Path

    async def run(self, orders: int) -> Measured:
        """Solve all problems with each memory, and in each order by the one that learns."""
        ids = tuple(problem.id for problem in self.plan(self.scope)[0].problems)
        own = replace(self.scope, ids=ids)
        others = self.plan(replace(self.scope, skip=len(ids)))
        async with self.runtime:
            empty, drawn = await self._solve(self.plan(own, _FROZEN))
            _, folder = await self._solve(others)
            start = (f"start={folder / MEMORY}",) if (folder / MEMORY).exists() else ()
            frozen, _ = await self._solve(self.plan(own, *start, _FROZEN))
            learning = []
            for order in range(orders):
                plans = self.plan(replace(own, shuffle=order))
                marks, _ = await self._solve(plans, [log_of(drawn)])
                learning.append({one.id: marks[one.id] for one in plans[0].problems})
        return Measured(learning, frozen, empty)

    def plan(self, scope: Scope, *changes: str) -> list[Plan]:
        """Return the run of one arm."""
        preset = load_preset(self.preset, (*self.overrides, *changes))
        return plan_all([self.benchmark], preset, scope, self.runtime.parts)

    async def _solve(
        self, plans: list[Plan], logs: Sequence[Path] = ()
    ) -> tuple[dict[str, float], Path]:
        (done,) = await run_plans(self.runtime, plans=plans, out=self.out, logs=logs, watch=watch)
        folder = Path(done.out)
        return accuracy_by_problem(load_finished(folder).records), folder


def figures_of(measured: Measured, parts: int) -> dict[str, Any]:
    """Return accuracy by part of an order, and what learning gains over the others.

    Args:
        measured: Which problems were solved.
        parts: Into which an order is cut.

    Returns:
        `parts`, for each the places in the order, counted from 1, and the accuracy of each arm;
        `accuracy` of each arm; `gains` of learning over each other arm: in `all` problems and in
        the `last_half` of the orders, mean and 95 % interval of a paired bootstrap over problems,
        each with its mean over the orders; and `by_order`, the gain in each order.
    """
    orders = [list(marks) for marks in measured.learning]
    frozen = [{name: measured.frozen[name] for name in order} for order in orders]
    empty = [{name: measured.empty[name] for name in order} for order in orders]
    arms = dict(zip(ARMS, (measured.learning, frozen, empty), strict=True))
    size = len(orders[0])
    bounds = [round(size * place / parts) for place in range(parts + 1)]
    rows = [
        {"from": start + 1, "to": end}
        | {
            arm: fmean(one for o in marks for one in _part(o, start, end))
            for arm, marks in arms.items()
        }
        for start, end in pairwise(bounds)
        if end > start
    ]
    return {
        "problems": size,
        "orders": len(orders),
        "parts": rows,
        "accuracy": {
            arm: fmean(one for o in marks for one in o.values()) for arm, marks in arms.items()
        },
        "gains": {
            arm: {
                "all": _gain(measured.learning, arms[arm], 0),
                "last_half": _gain(measured.learning, arms[arm], size // 2),
                "by_order": [
                    fmean(a.values()) - fmean(b.values())
                    for a, b in zip(measured.learning, arms[arm], strict=True)
                ],
            }
            for arm in ARMS[1:]
        },
    }


def _part(marks: Marks, start: int, end: int) -> list[float]:
    return list(marks.values())[start:end]


def _gain(learning: Sequence[Marks], other: Sequence[Marks], start: int) -> list[float]:
    """Return what learning gains over another arm from a place in the orders on."""
    gains = defaultdict[str, list[float]](list)
    for first, second in zip(other, learning, strict=True):
        for name in list(second)[start:]:
            gains[name].append(second[name] - first[name])
    return list(mean_difference([fmean(values) for values in gains.values()], seed=0))


def _print(figures: dict[str, Any]) -> None:
    table = output.new_table("seen before", *ARMS, right=ARMS)
    for part in figures["parts"]:
        shares = [f"{part[arm]:.1%}" for arm in ARMS]
        output.add_row(table, f"{part['from'] - 1} to {part['to'] - 1}", *shares)
    output.add_row(table, "all", *(f"{figures['accuracy'][arm]:.1%}" for arm in ARMS))
    output.print_table(table)
    output.print_text(f"{figures['problems']} problems in {figures['orders']} orders")
    for arm, gains in figures["gains"].items():
        for what, where in (("all", "in all"), ("last_half", "in the last half")):
            mean, low, high = (100 * value for value in gains[what])
            output.print_text(
                f"learning over {arm}, {where}: {mean:+.1f} [{low:+.1f}, {high:+.1f}] points"
            )
        by_order = ", ".join(f"{100 * gain:+.1f}" for gain in gains["by_order"])
        output.print_text(f"learning over {arm}, order by order: {by_order} points")
