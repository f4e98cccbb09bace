"""When facts that a search calls to mind help: problems that need one fact, or a chain of them.

Source of the method: Pan et al. 2025, "CoAT: Chain-of-Associated-Thoughts", arXiv:2502.02390. The
problems are ours: what a made-up good costs, which no model can know. With one hop the problem
names the good whose price a fact tells, so that whoever looks facts up before the solution is
written has it. With more hops a good costs as much as another one, which that fact alone names: it
can only be found while the solution is written.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer
from rich.table import Table

from tts.bench.engines import load_finished, runtime_of
from tts.bench.facts import Asked, ascending
from tts.console import flags, output, tables
from tts.console.progress import watch
from tts.errors import InputError
from tts.evals.metrics import Difference, paired_bootstrap, wilson_interval
from tts.evals.report import accuracy_by_problem
from tts.evals.runner import Plan
from tts.evals.stored_run import StoredRun, read_events
from tts.evaluation import run_plans
from tts.operators.follow import follow
from tts.operators.retrieve import Retrieve
from tts.pipeline import Pipeline
from tts.presets.load import Preset, load_preset
from tts.types import Answer, Budget, Grade, Problem, PromptExample, PromptOptions, Sampling
from tts.types.figures import Interval

_SYLLABLES = [first + vowel for first in "bdfgklmprtvz" for vowel in "aeiou"]
_LOOK_UP = (
    "Prices stand in notes alone. Name the good whose price you need in a paragraph of its own; "
    "the paragraph after it is the note on that good, where there is one. Write the final answer "
    "as \\boxed{number}."
)
_SHOWN = ("selomin", "hujoran", "wakelan", "cyrofin")  # goods of the example, none of a problem
_BEFORE, _WITHOUT = "retrieved", "uct"


@dataclass(frozen=True, slots=True)
class Arm:
    """What came of one way to solve the problems.

    Attributes:
        name: Of the way.
        found: Share of problems all of whose facts were shown to the model at some place.
        accuracy: Share solved.
        interval: Its 95 % interval (Wilson).
        gain: Accuracy less that of the search without a memory; None for this one itself.
        tokens: Generated for a problem, on average.
        read: Prompt tokens of a problem, on average.
    """

    name: str
    found: float
    accuracy: float
    interval: Interval
    gain: Difference | None
    tokens: float
    read: float


@dataclass(frozen=True, slots=True)
class Cell:
    """All ways on problems that need so many facts."""

    hops: int
    arms: tuple[Arm, ...]


def recall(
    model: flags.EmbeddedModelFlag,
    problems: Annotated[
        int, typer.Option("--problems", min=2, max=10_000, help="Problems of each kind.")
    ] = 40,
    hops: Annotated[
        str, typer.Option("--hops", help="Facts that a problem needs.", metavar="N,N,...")
    ] = "1,2",
    branching: Annotated[
        int, typer.Option("--branching", min=1, help="Children of each expanded step.")
    ] = 2,
    expansions: Annotated[
        int, typer.Option("--expansions", min=1, help="Expansions after which no path begins.")
    ] = 8,
    solutions: Annotated[
        int, typer.Option("--solutions", min=1, help="Solutions after which a search ends.")
    ] = 2,
    tokens: Annotated[int, typer.Option("--tokens", min=16, help="Most of a solution.")] = 256,
    engine_args: flags.EngineArgFlag = None,
    seed: flags.SeedFlag = 0,
    out: flags.OutFlag = Path("runs/bench_recall"),
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure when a memory helps a tree search: on problems that need facts nobody can know.

    One sample behind passages that are like the problem, and MCTS whose steps name what they need:
    by UCT without a memory, and with one by UCT (CoAT) and by PUCT. A step is worth how likely its
    tokens were to the model. Every way is a run in a folder of its own; the same command goes on
    where it was.

    Example: tts bench recall --model FOLDER --problems 40
    """
    wanted = ascending("--hops", hops, "1,2")
    if wanted[-1] > len(_SHOWN):
        raise InputError(f"--hops {hops}: a problem needs at most {len(_SHOWN)} facts")
    limits = {"branching": branching, "expansions": expansions, "solutions": solutions}
    bench = _Bench(model, engine_args, problems, limits, tokens, seed, out)
    work = bench.run(wanted)
    found = output.run_async(work, if_interrupted="interrupted; the same command goes on")
    if as_json:
        output.print_json({"schema": 1, "seed": seed, "cells": [asdict(one) for one in found]})
        return
    for one in found:
        output.print_text(f"{one.hops} facts a problem" if one.hops > 1 else "1 fact a problem")
        output.print_table(_table(one))


def make(problems: int, hops: int, seed: int) -> list[Asked]:
    """Return problems, each with the chain of facts that it needs.

    Args:
        problems: How many.
        hops: Facts of each; no two problems share one.
        seed: The same seed gives the same problems.
    """
    draw = random.Random(f"{seed}/{hops}")
    chosen = _names(problems * hops, draw)
    asked = []
    for number in range(problems):
        chain = chosen[number * hops : (number + 1) * hops]
        price, bought = draw.randint(3, 19), draw.randint(2, 9)
        links = [
            f"The good {one} costs as much as the good {other}." for one, other in pairwise(chain)
        ]
        problem = Problem(
            f"recall-{hops}-{number}",
            f"Ann buys {bought} of the good {chain[0]}. How many coins does she pay?",
            reference=str(bought * price),
            answer_type="integer",
        )
        asked.append(Asked(problem, (*links, f"The good {chain[-1]} costs {price} coins.")))
    return asked


def _looking_up(hops: int) -> PromptOptions:
    """Return how a problem is asked whose facts come as notes while it is solved."""
    chain = _SHOWN[:hops]
    links = [f"Note: The good {a} costs as much as the good {b}." for a, b in pairwise(chain)]
    notes = [*links, f"Note: The good {chain[-1]} costs 6 coins."]
    steps = [f"The good {one}.\n\n{note}" for one, note in zip(chain, notes, strict=True)]
    end = f"3 of the good {chain[0]} cost 3 * 6 = 18 coins. \\boxed{{18}}"
    asked = f"Tom buys 3 of the good {chain[0]}. How many coins does he pay?"
    shown = PromptExample(asked, "\n\n".join([*steps, end]))
    return PromptOptions(instruction=_LOOK_UP, examples=(shown,))


def _names(count: int, draw: random.Random) -> list[str]:
    """Return so many different names."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[f"{''.join(draw.choices(_SYLLABLES, k=3))}n"] = None
    return list(found)


def _grade(problem: Problem, answer: Answer) -> Grade:
    return Grade(answer.canonical == problem.reference)


def _retrieve(store: Path) -> Retrieve:
    return Retrieve(file=str(store), least=0.0)  # the nearest, however far


@dataclass(frozen=True, slots=True)
class _Bench:
    """All runs of the benchmark."""

    model: str
    engine_args: Sequence[str] | None
    problems: int
    limits: Mapping[str, int]
    tokens: int
    seed: int
    out: Path

    async def run(self, hops: Sequence[int]) -> list[Cell]:
        """Return what came of each kind of problems."""
        async with runtime_of(self.model, self.engine_args) as runtime:
            found = []
            for count in hops:
                asked = make(self.problems, count, self.seed)
                store = self._write(asked, count)
                presets = self._presets(store)
                plans = [self._plan(name, preset, asked, count) for name, preset in presets.items()]
                done = await run_plans(runtime, plans=plans, out=self.out, watch=watch)
                runs = [load_finished(Path(summary.out)) for summary in done]
                by_name = dict(zip(presets, runs, strict=True))
                found.append(figures(count, asked, by_name, _retrieve(store)))
        return found

    def _write(self, asked: Sequence[Asked], hops: int) -> Path:
        """Write the facts of all problems to one file, shuffled."""
        facts = [fact for one in asked for fact in one.facts]
        random.Random(self.seed).shuffle(facts)
        self.out.mkdir(parents=True, exist_ok=True)
        file = self.out / f"facts-{hops}-{self.problems}-{self.seed}.txt"
        file.write_text("\n".join(facts) + "\n", encoding="utf-8")
        return file

    def _presets(self, store: Path) -> dict[str, Preset]:
        sampling = Sampling(temperature=0.7, top_p=0.95, max_tokens=self.tokens)
        search = [
            f"sampling.temperature={sampling.temperature}",
            f"sampling.top_p={sampling.top_p}",
            f"sampling.max_tokens={sampling.max_tokens}",
            "verifier=confidence(measure=likelihood)",
            "association_weight=0",  # likelihoods of a step's own tokens say nothing of a memory
            *(f"{name}={value}" for name, value in self.limits.items()),
        ]
        memory = f"memory={{name: facts, file: {store}}}"
        before = Preset(
            _BEFORE,
            "One sample behind passages that are like the problem.",
            Pipeline.of(_retrieve(store)) >> follow(),
            sampling,
            Budget(),
            {"sampling": asdict(sampling)},
        )
        return {
            _BEFORE: before,
            _WITHOUT: load_preset("coat", [*search, "memory=null"]),
            "uct memory": load_preset("coat", [*search, memory]),
            "puct memory": load_preset("coat", [*search, memory, "rule=puct"]),
        }

    def _plan(self, name: str, preset: Preset, asked: Sequence[Asked], hops: int) -> Plan:
        return Plan(
            benchmark="recall",
            problems=tuple(one.problem for one in asked),
            grade=_grade,
            preset=preset if name == _BEFORE else replace(preset, prompt=_looking_up(hops)),
            seed=self.seed,
            options={"engine": "vllm", "arm": name, "hops": hops},
        )


def figures(
    hops: int, asked: Sequence[Asked], runs: Mapping[str, StoredRun], before: Retrieve
) -> Cell:
    """Return what came of all ways to solve the same problems.

    Args:
        hops: Facts that a problem needs.
        asked: The problems.
        runs: By the name of the way; among them the search without a memory.
        before: What looks facts up before a solution is written.
    """
    right = {name: _right(run, asked) for name, run in runs.items()}
    arms = []
    for name, run in runs.items():
        gain = paired_bootstrap(right[_WITHOUT], right[name], seed=0)
        arms.append(
            Arm(
                name=name,
                found=fmean(_found(run, asked, before)),
                accuracy=fmean(right[name]),
                interval=wilson_interval(sum(right[name]), len(asked)),
                gain=None if name == _WITHOUT else gain,
                tokens=fmean(record.usage.generated_tokens or 0 for record in run.records),
                read=fmean(record.usage.prompt_tokens or 0 for record in run.records),
            )
        )
    return Cell(hops, tuple(arms))


def _right(run: StoredRun, asked: Sequence[Asked]) -> list[float]:
    correct = accuracy_by_problem(run.records)
    return [correct[one.problem.id] for one in asked]


def _found(run: StoredRun, asked: Sequence[Asked], before: Retrieve) -> Iterator[bool]:
    """Yield, for each problem, whether all its facts were shown to the model at some place."""
    told: dict[str, str] = {}
    for event in read_events(run.folder, "recall"):
        told[event["problem"]] = f"{told.get(event['problem'], '')} {event['text']}"
    for one in asked:
        text = told.get(one.problem.id, "")
        if run.config["preset"] == _BEFORE:
            statement = one.problem.statement
            text = " ".join(
                before.store.nearest(statement, least=before.least, most=before.passages)
            )
        yield all(fact in text for fact in one.facts)


def _table(cell: Cell) -> Table:
    numbers = ("shown", "right", "95 % interval", "less uct", "tokens")
    table = output.new_table("way", *numbers, right=numbers)
    for arm in cell.arms:
        output.add_row(
            table,
            arm.name,
            f"{arm.found:.1%}",
            f"{arm.accuracy:.1%}",
            f"{arm.interval.low:.1%}-{arm.interval.high:.1%}",
            "" if arm.gain is None else tables.gain(arm.gain),
            f"{arm.tokens:,.0f}",
        )
    return table
