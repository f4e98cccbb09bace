"""What a store of facts is worth to a model, by the store's size: MassiveDS in small.

Source of the question: Shao et al. 2024, "Scaling Retrieval-Based Language Models with a
Trillion-Token Datastore" (MassiveDS), arXiv:2407.12854. Here a world of made-up goods, whose prices
no model can know; problems ask what some of two goods cost, and stores hold the prices of more and
more goods. So accuracy follows what is found, as far as the model reads and reckons rightly.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.table import Table

from tts.console import flags, output
from tts.engine.vllm import VLLMEngine
from tts.errors import InputError
from tts.evals.metrics import wilson_interval
from tts.operators.follow import follow
from tts.operators.retrieve import Retrieve
from tts.pipeline import Pipeline
from tts.protocols import Engine
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.types import Problem, Sampling

_SYLLABLES = [first + vowel for first in "bdfgklmprtvz" for vowel in "aeiou"]
_SAMPLING = Sampling(temperature=0.0, max_tokens=256)


@dataclass(frozen=True, slots=True)
class Asked:
    """A problem, and the facts that it needs."""

    problem: Problem
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one size of the store.

    Attributes:
        size: Facts in it.
        held: Problems of which it holds all that they need.
        found: Problems to which all that they need was shown.
        right: Problems solved.
        tokens: Prompt tokens of a problem, on average.
    """

    size: int
    held: int
    found: int
    right: int
    tokens: float


def facts(
    model: flags.EmbeddedModelFlag,
    problems: Annotated[int, typer.Option("--problems", min=1, help="Problems.")] = 40,
    sizes: Annotated[
        str, typer.Option("--sizes", help="Facts in the store, ascending.", metavar="N,N,...")
    ] = "1,128,256,384,512",
    seed: flags.SeedFlag = 0,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure how often a model solves problems that need facts, by the size of its store of them.

    Problems ask for the price of two made-up goods; a store holds the prices of the first N of all
    goods, shuffled, and three passages of it stand before the problem. One answer each at
    temperature 0.

    Example: tts bench facts --model FOLDER --problems 40
    """
    wanted = ascending("--sizes", sizes, "1,128,256")
    asked, world = make(problems, max(wanted), seed)

    async def run() -> list[Row]:
        async with VLLMEngine(model) as engine:
            return [await measure(engine, asked, world[:size], seed=seed) for size in wanted]

    rows = asyncio.run(run())
    if as_json:
        found = {"model": model, "problems": problems, "seed": seed}
        output.print_json({"schema": 1, **found, "rows": list(map(asdict, rows))})
        return
    output.print_table(_table(rows, problems))
    words = ("--model", model, "--problems", problems, "--seed", seed)
    output.print_again("tts", "bench", "facts", *words)


def ascending(option: str, text: str, example: str) -> list[int]:
    """Return the numbers that an option holds, as typed.

    Raises:
        InputError: They are no whole numbers from 1 on, ascending.
    """
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: write whole numbers, such as {example}") from None
    if found != sorted(set(found)) or found[0] < 1:
        raise InputError(f"{option} {text}: write numbers from 1 on, ascending")
    return found


def make(problems: int, goods: int, seed: int) -> tuple[list[Asked], list[str]]:
    """Return problems, and the facts of all goods, shuffled.

    Args:
        problems: How many; each needs two facts.
        goods: How many there are.
        seed: The same seed gives the same world.

    Raises:
        InputError: There are fewer than two goods, or more than names for them.
    """
    draw = random.Random(seed)
    names = [f"{first}{second}n" for first in _SYLLABLES for second in _SYLLABLES]
    if not 2 <= goods <= len(names):
        raise InputError(f"--sizes: from 2 to {len(names):,} goods can be made, not {goods:,}")
    prices = {name: draw.randint(2, 12) for name in draw.sample(names, goods)}
    asked = []
    for number in range(problems):
        one, other = draw.sample(list(prices), 2)
        few, more = draw.randint(2, 9), draw.randint(2, 9)
        problem = Problem(
            f"facts-{number}",
            f"Ann buys {few} of the good {one} and {more} of the good {other}. How many coins does "
            "she pay?",
            reference=str(few * prices[one] + more * prices[other]),
            answer_type="integer",
        )
        asked.append(Asked(problem, (_fact(one, prices[one]), _fact(other, prices[other]))))
    return asked, [_fact(*item) for item in prices.items()]


async def measure(
    engine: Engine, asked: Sequence[Asked], store: Sequence[str], *, seed: int
) -> Row:
    """Return how often an engine solves problems with a store of facts beside it."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "facts.txt"
        file.write_text("\n".join(store), encoding="utf-8")
        notes = Retrieve(file=str(file))
        passages = notes.store  # read while the file is there
    pipeline = Pipeline.of(notes) >> follow()
    async with Runtime(engine) as runtime, asyncio.TaskGroup() as group:
        jobs = (Job(pipeline, one.problem, _SAMPLING, seed=seed) for one in asked)
        tasks = [group.create_task(runtime.run(job)) for job in jobs]
    results = [task.result() for task in tasks]
    shown = [
        set(passages.nearest(one.problem.statement, least=notes.least, most=notes.passages))
        for one in asked
    ]
    return Row(
        size=len(store),
        held=sum(set(one.facts) <= set(store) for one in asked),
        found=sum(set(one.facts) <= near for one, near in zip(asked, shown, strict=True)),
        right=sum(
            result.answer is not None and result.answer.text == one.problem.reference
            for one, result in zip(asked, results, strict=True)
        ),
        tokens=sum(result.usage.prompt_tokens or 0 for result in results) / len(asked),
    )


def _fact(name: str, price: int) -> str:
    return f"The good {name} costs {price} coins."


def _table(rows: Sequence[Row], problems: int) -> Table:
    numbers = ("facts", "held", "found", "right", "95 % interval", "prompt tokens")
    table = output.new_table(*numbers, right=numbers)
    for row in rows:
        interval = wilson_interval(row.right, problems)
        output.add_row(
            table,
            f"{row.size:,}",
            f"{row.held / problems:.1%}",
            f"{row.found / problems:.1%}",
            f"{row.right / problems:.1%}",
            f"{interval.low:.1%}-{interval.high:.1%}",
            f"{row.tokens:,.0f}",
        )
    return table
