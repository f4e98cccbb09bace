"""Fit a router that sends each problem to an engine and a strategy before sampling."""

import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tts.allocation.router import KINDS, Kind, save_router
from tts.cli._runs import load_runs, load_series
from tts.console import flags, output
from tts.costs.flops import predicted_flops
from tts.engine.running import make_engine
from tts.engine.spec import EngineSpec
from tts.errors import InputError
from tts.evals.compare import models_differ
from tts.evals.laws.ranking import results_of
from tts.evals.metrics import Difference
from tts.evals.routing import Trained, Tried, train_router, tried_by, tried_in
from tts.evals.stored_run import StoredRun
from tts.evals.units import amount, parse_unit
from tts.storage.sealed_lines import check_place
from tts.types.figures import SCHEMA, Unit

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("train-router")
def train_router_command(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Run folders on calibration problems, one for each tier; ENGINE= before one that "
            "asked another engine, by the name that the router shall ask it by.",
            metavar="[ENGINE=]RUN",
        ),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(
            "--test",
            help="A run of a tier on problems kept for testing, to measure the router there and "
            "not in five folds. Repeat it for each tier.",
            metavar="[ENGINE=]RUN",
        ),
    ] = None,
    out: Annotated[Path, flags.out_file("Write the router to this file.")] = Path("router.json"),
    kind: Annotated[
        str, typer.Option("--kind", help=f"How chances are estimated: {' or '.join(KINDS)}.")
    ] = "logistic",
    price: Annotated[
        float | None,
        typer.Option(
            "--price",
            min=0,
            help="Chance to be right that the dearest tier's cost is worth [default: the dearest "
            "that costs at most a point of accuracy].",
        ),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            "--embedder",
            help="Read an embedding of the prompt too, from this model of texts.",
            metavar="NAME=MODEL?pooling",
        ),
    ] = None,
    pool: flags.PoolFlag = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(
            "--cost",
            help="A model of the pools that is a tier, with what a problem costs. Repeat it.",
            metavar="MODEL=NUMBER",
        ),
    ] = None,
    statements: Annotated[
        Path | None,
        typer.Option(
            "--statements",
            help="The problems of the pools, as JSON Lines with id and problem.",
            metavar="FILE",
        ),
    ] = None,
    unit: flags.UnitFlag = None,
    as_json: flags.JsonFlag = False,
) -> None:
    """Learn from calibration runs which problems which tier is worth, before sampling.

    What it brings is measured in five folds, or on the runs of --test, beside every tier always and
    the oracle.

    Example: tts train-router small=runs/chain-single-0a1b2c3d4e runs/chain-single-5f6a7b8c9d
    """
    if kind not in KINDS:
        raise InputError(f"--kind {kind}: write {' or '.join(KINDS)}")
    chosen: Kind = "knn" if kind == "knn" else "logistic"
    if test and pool:
        raise InputError("--test takes runs, and so does the router that it measures then")
    check_place(out)
    tried, measured = _tried(runs or [], pool or [], cost, statements, unit)
    kept = tried_in(_by_engine(test), parse_unit(measured)) if test else None
    name, vectors, own = _embed(embedder, tried.statements, measured)
    test_vectors = [] if kept is None else _embed(embedder, kept.statements, measured)[1]
    found = train_router(
        tried,
        kind=chosen,
        unit=measured,
        price=price,
        embedder=name,
        embeddings=vectors,
        own_cost=own,
        test=kept,
        test_embeddings=test_vectors,
    )
    save_router(found.router, out)
    if as_json:
        ways = [{**asdict(way), "figures": way.figures._asdict()} for way in found.ways]
        values = {"unit": measured, "price": found.router.price, "gain": found.gain, "ways": ways}
        over = {"over_tiers": found.over_tiers, "seconds": found.seconds}
        output.print_json({"schema": SCHEMA, **values, **over})
        return
    output.print_table(_table(found, measured))
    output.print_lines(_lines(found, tried, kept))
    output.print_text(f"wrote {out}")
    output.print_text(f"use   tts eval ... --preset route_by --set router={out}")


def _tried(
    runs: Sequence[str],
    pools: Sequence[str],
    cost: Sequence[str] | None,
    statements: Path | None,
    unit: str | None,
) -> tuple[Tried, str]:
    """Return what was tried, and the unit of its costs."""
    if not pools:
        if cost or statements is not None:
            raise InputError("--cost and --statements are of pools: name them with --pool")
        by_engine = _by_engine(runs)
        every = [run for several in by_engine.values() for run in several]
        asked: Unit = "eflops" if models_differ(every) else "tokens"
        chosen = asked if unit is None else parse_unit(unit)
        return tried_in(by_engine, chosen), chosen
    if runs or unit is not None:
        raise InputError("with --pool the tiers and their costs are named by --cost MODEL=NUMBER")
    if statements is None:
        raise InputError("--pool needs --statements FILE, the problems that its results are of")
    pairs = flags.to_pairs("--cost", cost, "MODEL=NUMBER, such as Llama-3.1-8B=8")
    try:
        costs = {name: float(text) for name, text in pairs.items()}
    except ValueError:
        raise InputError("--cost takes a number, such as Llama-3.1-8B=8") from None
    if not all(value > 0 for value in costs.values()) or len(costs) < 2:
        raise InputError("--cost names two models or more, with costs above 0")
    results = {one.name: results_of(one) for one in load_series([], pools)}
    return tried_by(results, costs, _read_statements(statements)), "cost"


def _by_engine(runs: Sequence[str]) -> Mapping[str, Sequence[StoredRun]]:
    found: dict[str, list[StoredRun]] = {}
    for text in runs:
        engine, _, folder = text.rpartition("=")
        if "/" in engine:  # a folder whose name has a "="
            engine, folder = "", text
        found.setdefault(engine, []).extend(load_runs([Path(folder)]))
    return found


def _read_statements(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
        return {str(row["id"]): str(row["problem"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no JSON Lines with id and problem ({error})") from error


def _embed(
    text: str | None, statements: Sequence[str], unit: str
) -> tuple[str, list[list[float]], float]:
    """Return the embedder's name, the embeddings, and what one costs in the unit."""
    if text is None:
        return "", [], 0.0
    name, _, model = text.partition("=")
    if not name or not model:
        raise InputError(f"--embedder {text}: write NAME=MODEL?pooling")

    async def embed() -> tuple[list[list[float]], float]:
        async with aclosing(await make_engine(EngineSpec.parse(model))) as engine:
            found = await engine.embed(statements)
            flops = predicted_flops(engine.info, found.usage) or 0.0
            return [list(map(float, row)) for row in found.vectors], flops / len(statements)

    vectors, flops = output.run_async(embed(), if_interrupted="interrupted")
    return name, vectors, flops if unit in ("flops", "eflops") else 0.0


def _table(found: Trained, unit: str) -> Table:
    numbers = ("accuracy", f"{unit} a problem", "TEP", "best picks", "regret", "cost / oracle's")
    table = output.new_table("choice", *numbers, right=numbers)
    for way in found.ways:
        f = way.figures
        is_chosen = way.price is not None and way.price == found.router.price
        output.add_row(
            table,
            f"{way.name}{' *' if is_chosen else ''}",
            f"{f.accuracy:.1%}",
            amount(f.cost),
            "-" if f.tep is None else f"{f.tep:.2f}",
            f"{f.best_picks:.1%}",
            f"{f.regret:.1%}",
            f"{f.excess:.2f}",
        )
    return table


def _lines(found: Trained, tried: Tried, kept: Tried | None) -> list[str]:
    where = f"{len(tried.statements):,} problems, five folds, seed 0"
    if kept is not None:
        where = f"{len(kept.statements):,} problems for testing; fitted to {where}"
    lines = [
        f"{where}; * is the router's price; choosing takes {1e3 * found.seconds:.2f} ms a problem",
        "TEP is the relative gain in accuracy over that in cost, against the cheapest tier; the "
        "oracle takes the cheapest tier that is right",
    ]
    lines += [
        f"against always {tier.name}: {_points(over)}"
        for tier, over in zip(found.router.tiers, found.over_tiers, strict=True)
    ]
    if found.gain is not None:
        lines.append(f"against a blind mixture of tiers of the same cost: {_points(found.gain)}")
    return lines


def _points(found: Difference) -> str:
    mean, low, high = (100 * value for value in found)
    return f"{mean:+.1f} points [{low:+.1f}, {high:+.1f}]"
