"""How recorded solutions split into steps, and what clusters of steps tell ETS."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.bench.steps_figures import FEWEST, MOST, Cut, Level, Splits, Trees, levels_of, splits_of
from tts.console import flags, output
from tts.engine.pools import load_series
from tts.engine.vllm import VLLMEngine
from tts.errors import InputError
from tts.types.arrays import FloatArray

_CUTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
_BATCH = 256  # texts that are embedded at a time
_NAME = 24  # characters of a model's name that a table shows
_CONTEXT = 2048  # tokens; a search cuts steps long before


def steps(
    pools: flags.PoolsArgument,
    embedder: Annotated[
        str | None,
        typer.Option(
            "--embedder",
            metavar="MODEL",
            help="Compare steps by this model's vectors, not by words and numbers; of a model that "
            "generates, by its mean hidden states.",
        ),
    ] = None,
    limit: flags.LimitFlag = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the random rewards and the intervals.")
    ] = 0,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure how solutions split into steps, and at which distance clusters of steps mean much.

    The first table counts steps: samples with 2 to 20 of them, with one, with more, the median, and
    the share of steps below 20 characters; of texts by paragraphs, of solutions without thoughts,
    and of texts in pieces of about 256 tokens, as --set separator=null cuts them.

    The second is about levels, the steps in one place of 16 samples: at each distance the levels
    with fewer clusters than leaves (merging), clusters per leaf, the levels on which ETS gives
    REBASE's widths, and how often steps of one cluster come from samples that agree in the answer,
    against chance. Set the distance of the highest correlation by --set cluster_distance=D.

    Example: tts bench steps pools/ --embedder sentence-transformers/all-MiniLM-L6-v2
    """
    splits: dict[str, list[Splits]] = {}
    levels: dict[str, list[Level]] = {}
    for name, pool in _series(pools):
        found = list(splits_of(pool))
        if found:
            splits[name] = found
            levels[name] = levels_of(pool, limit)
    if not splits:
        raise InputError("no sample of these pools has its text recorded")
    vectors = asyncio.run(_embed(embedder, levels.values())) if embedder else None
    cuts = {name: _cuts(name, at, vectors, seed) for name, at in levels.items() if at}
    if as_json:
        output.print_json(_to_json(splits, levels, cuts, embedder, seed))
        return
    output.print_table(_splits_table(splits))
    for name, found_cuts in cuts.items():
        output.print_text(f"\n{name}: {len(levels[name])} levels")
        output.print_table(_cuts_table(found_cuts))
    words = [*map(str, pools), *(["--embedder", embedder] if embedder else [])]
    words += ["--limit", str(limit)] if limit else []
    output.print_again("tts", "bench", "steps", *words, "--seed", seed)


def _series(paths: Iterable[Path]) -> Iterator[tuple[str, Any]]:
    for path in paths:
        for file in sorted(path.glob("*.jsonl*")) if path.is_dir() else [path]:
            for series, pool in load_series(file).items():
                yield f"{file.name.partition('.')[0]} {series}", pool


async def _embed(model: str, levels: Iterable[list[Level]]) -> dict[str, FloatArray]:
    texts = sorted({text for some in levels for level in some for text in level.texts}, key=len)
    engine = VLLMEngine(model, runner="pooling", max_model_len=_CONTEXT)
    vectors: dict[str, FloatArray] = {}
    async with engine:
        for start in range(0, len(texts), _BATCH):
            some = texts[start : start + _BATCH]
            found = await engine.embed(some)
            vectors.update(zip(some, found.vectors, strict=True))
            output.print_note(f"{len(vectors)} of {len(texts)} steps embedded")
    return vectors


def _cuts(
    name: str, levels: list[Level], vectors: Mapping[str, FloatArray] | None, seed: int
) -> list[Cut]:
    output.print_note(name)
    trees = Trees(levels, vectors, seed=seed)
    return [trees.cut(distance) for distance in _CUTS]


def _splits_table(splits: Mapping[str, list[Splits]]) -> Table:
    numbers = ("number", f"{FEWEST}-{MOST} steps", "1", f"over {MOST}", "median", "short")
    table = output.new_table("model", "what", *numbers, right=numbers)
    for name, found in splits.items():
        for row in found:
            output.add_row(
                table,
                name.partition(" ")[2].rpartition("/")[2][:_NAME],
                row.what,
                f"{row.number:,}",
                f"{row.share:.1%}",
                f"{row.one:.1%}",
                f"{row.many:.1%}",
                f"{row.steps:g}",
                f"{row.short:.1%}",
            )
    return table


def _cuts_table(cuts: Iterable[Cut]) -> Table:
    numbers = ("distance", "merging", "per leaf", "as REBASE", "agree", "chance", "correlation")
    table = output.new_table(*numbers, right=numbers)
    for cut in cuts:
        output.add_row(
            table,
            f"{cut.distance:g}",
            f"{cut.merging:.0%}",
            f"{cut.clusters:.2f}",
            f"{cut.as_rebase:.0%}",
            f"{cut.agreeing:.1%}",
            f"{cut.by_chance:.1%}",
            f"{cut.correlation:.3f} [{cut.low:.3f}, {cut.high:.3f}]",
        )
    return table


def _to_json(
    splits: Mapping[str, list[Splits]],
    levels: Mapping[str, list[Level]],
    cuts: Mapping[str, list[Cut]],
    embedder: str | None,
    seed: int,
) -> dict[str, Any]:
    return {
        "schema": 1,
        "embedder": embedder,
        "seed": seed,
        "series": [
            {
                "name": name,
                "splits": [asdict(row) for row in found],
                "levels": len(levels[name]),
                "cuts": [asdict(cut) for cut in cuts.get(name, ())],
            }
            for name, found in splits.items()
        ],
    }
