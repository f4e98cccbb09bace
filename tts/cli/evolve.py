"""Improve a program by an evaluator's score: a model writes, what is better lives on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tts.cli._engine import EngineFlags, with_engine
from tts.console import flags, output
from tts.errors import InputError
from tts.evolution.evolve import Config, Evolution, Found
from tts.evolution.population import Program
from tts.evolution.store import BEST, GENERATIONS
from tts.parts.parameters import checked
from tts.presets.yaml_file import parse_value
from tts.verifiers.evaluator import Config as EvaluatorConfig
from tts.verifiers.evaluator import Evaluator, EvaluatorVerifier, load
from tts.verifiers.evaluator import build as build_evaluator

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("evolve")
@with_engine
def evolve_command(
    program: Annotated[
        Path,
        typer.Argument(
            help="The Python program to begin with; where it has the lines # EVOLVE-BLOCK-START "
            "and # EVOLVE-BLOCK-END, only what is between them changes.",
            metavar="PROGRAM",
        ),
    ],
    evaluator: Annotated[
        Path,
        typer.Option(
            "--evaluator",
            help="A Python file with evaluate(program), which returns a number or a mapping with "
            "`score` (docs/programs.md).",
            metavar="FILE",
        ),
    ],
    iterations: Annotated[
        int, typer.Option("--iterations", min=1, help="Programs that the model is asked for.")
    ] = 100,
    budget: Annotated[
        str | None,
        typer.Option("--budget", help="Limit what all of it may cost.", metavar="LIMIT"),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a parameter, such as way=rewrite or islands=3. Repeat it for more.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", min=0.1, help="Longest that a function of the evaluator takes."),
    ] = 30.0,
    parallel: Annotated[
        int | None,
        typer.Option(
            "--parallel",
            min=1,
            help="Programs that are evaluated at once, 1 where time is measured; one for each CPU "
            "if not given.",
        ),
    ] = None,
    seed: flags.SeedFlag = 0,
    out: Annotated[
        Path, typer.Option("--out", help="The folder that keeps it.", metavar="FOLDER")
    ] = Path("runs/evolve"),
    *,
    engine: EngineFlags,
) -> None:
    """Improve a program by the score that an evaluator gives it.

    Programs live on islands, each a grid by length and unlikeness; a child is asked for in view of
    its parent, the parent's score and what the evaluator said, and others. Code runs in a sandbox
    that cannot reach the evaluator. The same command again goes on where it was interrupted.

    Example: tts evolve program.py --evaluator evaluator.py --iterations 50 --set way=rewrite
    """
    values = flags.to_pairs("--set", settings, "KEY=VALUE, such as islands=3")
    config = checked(Config, {k: parse_value(v) for k, v in values.items()}, "evolve")
    measured = load(evaluator)
    verifier = build_evaluator(
        EvaluatorConfig(seconds=seconds, parallel=parallel, unsafe=engine.unsafe_execution)
    )
    work = _run(
        engine, verifier, measured, _read(program), config, iterations, budget, seed=seed, out=out
    )
    found = output.run_async(work, if_interrupted="interrupted; the same command goes on")
    output.print_lines(_lines(found, out))


async def _run(
    engine: EngineFlags,
    verifier: EvaluatorVerifier,
    evaluator: Evaluator,
    code: str,
    config: Config,
    iterations: int,
    budget: str | None,
    *,
    seed: int,
    out: Path,
) -> Found:
    runtime = engine.runtime(run_budget=budget, log=out / GENERATIONS)
    try:
        async with runtime:
            evolution = Evolution(runtime, verifier, evaluator, code, config, folder=out, seed=seed)
            return await evolution.run(iterations, _tell)
    finally:
        await verifier.aclose()


def _read(program: Path) -> str:
    try:
        return program.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{program}: the program cannot be read: {error}") from None


def _tell(program: Program) -> None:
    output.print_note(f"program {program.number}: score {program.score:g}, of {program.parent}")


def _lines(found: Found, out: Path) -> Iterator[str]:
    first, best = found.first, found.best
    yield f"first  score {first.score:g}"
    yield f"best   score {best.score:g}, program {best.number} of {found.asked}"
    before, after = found.held_out
    if before is not None and after is not None:
        yield f"held out: first {before:g}, best {after:g}"
    reasons = ", ".join(f"{count} ({reason})" for reason, count in found.rejected.items())
    left_out = f"; left out: {reasons}" if reasons else ""
    yield f"scored {found.scored} of {found.asked} programs{left_out}"
    yield f"spent  {found.usage.generated_tokens or 0:,} generated tokens"
    if found.ended:
        yield f"note   ended early: {found.ended}"
    yield f"wrote  {out / BEST}" if best.number else "note   nothing is better than the first"
