"""How near a graph of tasks comes to its longest chain, and what a task costs beside its work."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from tts.bench.virtual_time import run_at_once
from tts.console import flags, output
from tts.engine.scripted import INFO, Ask, Line, ScriptedEngine
from tts.operators.dag import dag
from tts.protocols import Capabilities, Context
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.tools.base import Found, Tool, ToolConfig
from tts.types import GraphFigures, Problem, Sampling

_PROBLEM = Problem("graph", "Work the plan off.")


class _Wait(Tool):
    """Takes so many seconds as it is told."""

    signature = "wait(seconds: str) -> str"
    about = "waits"

    async def call(self, context: Context, arguments: Sequence[str], *, task: str) -> Found:
        await asyncio.sleep(float(arguments[0]))
        return Found("0")


def graph(
    graphs: Annotated[int, typer.Option("--graphs", min=1, help="Random graphs.")] = 50,
    tasks: Annotated[int, typer.Option("--tasks", min=2, max=1_000, help="Tasks of each.")] = 100,
    seed: flags.SeedFlag = 0,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure what working a graph off takes beyond its longest chain of tasks.

    Each task needs up to three earlier ones and waits for 0.1 to 2 seconds of a clock that waits
    for nobody: that gives the makespan. The same graphs without any waiting give the processor
    time that a task costs by itself. The plan is there at once.

    Example: tts bench graph --graphs 50 --tasks 100
    """
    draw = random.Random(seed)
    plans = [_plan(tasks, draw) for _ in range(graphs)]
    found = [run_at_once(_work(plan, tasks)) for plan in plans]
    begin = time.process_time()
    for plan in plans:
        asyncio.run(_work(plan.replace("wait(", "skip("), tasks))
    own = (time.process_time() - begin) / (graphs * tasks)
    worst = max(one.seconds / one.critical_seconds for one in found)
    width = sum(one.width for one in found) / graphs
    if as_json:
        values = {"worst_ratio": worst, "mean_width": width, "seconds_per_task": own}
        output.print_json({"schema": 1, "graphs": graphs, "tasks": tasks, "seed": seed, **values})
        return
    output.print_text(f"{graphs} graphs of {tasks} tasks, seed {seed}")
    output.print_text(f"makespan over longest chain, at worst  {worst:.3f}")
    output.print_text(f"tasks that ran at once, on average     {width:.1f}")
    output.print_text(f"own processor time of a task           {own * 1e3:.2f} ms")


class _Skip(_Wait):
    """Takes no time."""

    signature = "skip(seconds: str) -> str"

    async def call(self, context: Context, arguments: Sequence[str], *, task: str) -> Found:
        return Found("0")


def _plan(tasks: int, draw: random.Random) -> str:
    lines = []
    for number in range(1, tasks + 1):
        needs = sorted(draw.sample(range(1, number), min(number - 1, draw.randint(0, 3))))
        extra = "".join(f" + ${need}" for need in needs)
        lines.append(f'{number}. wait("{draw.uniform(0.1, 2.0):.3f}", "{extra}")')
    return "\n".join(lines)


async def _work(plan: str, tasks: int) -> GraphFigures:
    def say(ask: Ask) -> Line:
        is_plan = "Write a plan of tool calls" in ask.prompt
        return Line(plan if is_plan else "Action: Finish(0)", ticks=1)

    info = replace(INFO, context_tokens=1_000_000)
    engine = ScriptedEngine(say, capabilities=Capabilities(), info=info)
    config = ToolConfig(parallel=tasks, seconds=3_600.0)
    pipeline = dag(tools=(_Wait(config), _Skip(config)), max_tasks=tasks)
    sampling = Sampling(max_tokens=1_000_000)
    async with Runtime(engine) as runtime:
        result = await runtime.run(Job(pipeline, _PROBLEM, sampling))
    (figures,) = result.facts.graphs
    return figures
