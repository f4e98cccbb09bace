"""What learning from one problem to the next is worth, by how many were seen before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from tts.bench.engines import runtime_of
from tts.console import flags, output
from tts.console.progress import watch
from tts.evals.metrics import paired_bootstrap
from tts.evals.records import Record
from tts.evals.run_store import MEMORY, load_run
from tts.evals.runner import Plan
from tts.evaluation import Scope, plan_all, run_plans
from tts.presets.load import load_preset
from tts.session.runtime import DEFAULT_MODEL, Runtime

ARMS = ("learning", "frozen", "empty")
_FROZEN = "learn=never"
Marks = Mapping[str, Sequence[Sequence[float]]]  # by arm, of each order: right or not, in order


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
    seed: flags.SeedFlag = 0,
    out: flags.OutFlag = Path("runs/bench_lessons"),
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure accuracy against the number of problems seen: learning, frozen and empty memory.

    The same problems run in several orders. The frozen memory is that of a run on as many problems
    that follow them in the benchmark; the empty one learns nothing. The same command again goes on
    where it was interrupted.

    Example: tts bench lessons gsm8k --split calibration --preset example_cache --limit 40
    """
    scope = Scope.of(data=data, split=split, limit=limit, seed=seed)
    runtime = runtime_of(model, engine_args)
    bench = _Bench(runtime, benchmark, preset, tuple(overrides or ()), scope, out)
    marks = output.run_async(
        bench.run(orders), if_interrupted="interrupted; the same command goes on"
    )
    figures = figures_of(marks, parts)
    if as_json:
        output.print_json({"schema": 1, "seed": seed, "model": model, **figures})
        return
    _print(figures)


@dataclass(frozen=True, slots=True)
class _Bench:
    """All runs of the benchmark."""

    runtime: Runtime
    benchmark: str
    preset: str
    overrides: tuple[str, ...]
    scope: Scope
    out: Path

    async def run(self, orders: int) -> dict[str, list[list[float]]]:
        """Return, by arm and order, which problems were solved, in the order's order."""
        ids = tuple(problem.id for problem in self.plan(self.scope)[0].problems)
        others = self.plan(replace(self.scope, skip=len(ids)))
        marks: dict[str, list[list[float]]] = {arm: [] for arm in ARMS}
        async with self.runtime:
            (folder,) = await self._solve(others)
            frozen = () if not (folder / MEMORY).exists() else (f"start={folder / MEMORY}",)
            changes = {"learning": (), "frozen": (*frozen, _FROZEN), "empty": (_FROZEN,)}
            for order in range(orders):
                scope = replace(self.scope, ids=ids, shuffle=order)
                for arm in ARMS:
                    plans = self.plan(scope, *changes[arm])
                    (folder,) = await self._solve(plans)
                    marks[arm].append(_in_order(plans[0], load_run(folder).records))
        return marks

    def plan(self, scope: Scope, *changes: str) -> list[Plan]:
        """Return the run of one arm."""
        preset = load_preset(self.preset, (*self.overrides, *changes))
        return plan_all([self.benchmark], preset, scope, self.runtime.parts)

    async def _solve(self, plans: list[Plan]) -> list[Path]:
        done = await run_plans(self.runtime, plans=plans, out=self.out, watch=watch)
        return [Path(summary.out) for summary in done]


def figures_of(marks: Marks, parts: int) -> dict[str, Any]:
    """Return accuracy by part of an order, and what learning gains over the others.

    Args:
        marks: 1 for each problem that was solved and 0 for the others, by arm, of each order.
        parts: Into which an order is cut.

    Returns:
        `parts`, for each the places in the order, counted from 1, and the accuracy of each arm;
        `accuracy` of each arm; `gains` of learning over each other arm, in all and in the last
        half of the orders: mean and 95 % interval of a paired bootstrap over problems and orders.
    """
    size = len(marks[ARMS[0]][0])
    bounds = [round(size * place / parts) for place in range(parts + 1)]
    rows = [
        {"from": start + 1, "to": end}
        | {arm: fmean(one for order in marks[arm] for one in order[start:end]) for arm in ARMS}
        for start, end in pairwise(bounds)
        if end > start
    ]
    return {
        "problems": size,
        "orders": len(marks[ARMS[0]]),
        "parts": rows,
        "accuracy": {arm: fmean(one for order in marks[arm] for one in order) for arm in ARMS},
        "gains": {
            arm: {"all": _gain(marks, arm, 0), "last_half": _gain(marks, arm, size // 2)}
            for arm in ARMS[1:]
        },
    }


def _gain(marks: Marks, arm: str, start: int) -> list[float]:
    first = [one for order in marks[arm] for one in order[start:]]
    second = [one for order in marks[ARMS[0]] for one in order[start:]]
    return list(paired_bootstrap(first, second, seed=0))


def _in_order(plan: Plan, records: Sequence[Record]) -> list[float]:
    solved = {record.id: float(record.correct is True) for record in records}
    return [solved[problem.id] for problem in plan.problems]


def _print(figures: dict[str, Any]) -> None:
    table = output.new_table("seen before", *ARMS, right=ARMS)
    for part in figures["parts"]:
        shares = [f"{part[arm]:.1%}" for arm in ARMS]
        output.add_row(table, f"{part['from'] - 1} to {part['to'] - 1}", *shares)
    output.add_row(table, "all", *(f"{figures['accuracy'][arm]:.1%}" for arm in ARMS))
    output.print_table(table)
    output.print_text(f"{figures['problems']} problems in {figures['orders']} orders")
    for arm, gains in figures["gains"].items():
        for what, gain in gains.items():
            mean, low, high = (100 * value for value in gain)
            where = "in all" if what == "all" else "in the last half"
            output.print_text(
                f"learning over {arm}, {where}: {mean:+.1f} [{low:+.1f}, {high:+.1f}] points"
            )
