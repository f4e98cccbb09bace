"""Flags that several subcommands share, each declared once; those of engines are in `_engine`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from tts.errors import InputError
from tts.types.figures import UNITS

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
RunsArgument = Annotated[list[Path], typer.Argument(help="Run folders.", metavar="RUN")]
PoolsArgument = Annotated[
    list[Path],
    typer.Argument(help="Files of recorded samples, or folders that hold them.", metavar="POOL"),
]
PresetFlag = Annotated[
    list[str] | None,
    typer.Option("--preset", help="A preset's name or file. Repeat it for more.", metavar="NAME"),
]
SetFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a value of the preset, such as n=32, sampling.top_p=0.9 or "
        "prompt.system=TEXT. Repeat it for more.",
        metavar="KEY=VALUE",
    ),
]
DataFlag = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Read the problems from this JSON Lines, CSV, TSV or Parquet file.",
        metavar="FILE",
    ),
]
MapFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="Say which column of --data is our problem, answer or id, such as question=problem. "
        "Repeat it for more.",
        metavar="COLUMN=NAME",
    ),
]
LimitFlag = Annotated[
    int | None, typer.Option("--limit", min=1, help="Use only the first problems, so many.")
]
SeedFlag = Annotated[int, typer.Option("--seed", help="The same seed gives the same samples.")]
BudgetFlag = Annotated[
    str | None,
    typer.Option(
        "--budget",
        help="Limit what each problem may cost: 8k (generated tokens), 30s, 64calls, $0.05, "
        "2e15flops, 2e15eflops, 4ksequential, or several of these joined by commas.",
        metavar="LIMIT",
    ),
]
OutFlag = Annotated[
    Path, typer.Option("--out", help="The folder that holds the run folders.", metavar="FOLDER")
]
EmbeddedModelFlag = Annotated[
    str, typer.Option("--model", help="The model, run by the embedded vLLM.", metavar="MODEL")
]
ModelFlag = Annotated[
    str, typer.Option("--model", help="The model, as tts eval takes it.", metavar="MODEL")
]
EngineArgFlag = Annotated[
    list[str] | None,
    typer.Option("--engine-arg", help="An option of its engine.", metavar="KEY=VALUE"),
]
EngineForFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--engine-for",
        metavar="NAME=SPEC",
        help="Say what another engine is, by the name that a preset asks it by. MODEL?pooling "
        "is a model that embeds texts. Repeat it for more.",
    ),
]
PoolFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--pool",
        help="Recorded samples: FILE, or FILE#MODEL for one of several. Repeat it for more.",
        metavar="FILE",
    ),
]
PngFlag = Annotated[
    Path | None,
    typer.Option("--png", help="Write the figure to this picture: FILE.png, .pdf or .svg."),
]
UnitFlag = Annotated[
    str | None,
    typer.Option(
        "--unit",
        help=f"Count costs in this unit: {', '.join(UNITS)} [default: tokens; eflops where models "
        "differ].",
        metavar="UNIT",
    ),
]


def out_file(meaning: str) -> Any:
    """Return the option that names the file which a command writes."""
    return typer.Option("-o", "--out", help=meaning, metavar="FILE")


def to_pairs(flag: str, entries: Iterable[str] | None, form: str) -> dict[str, str]:
    """Return the values of a repeated flag NAME=VALUE by name.

    Args:
        flag: As it is typed.
        entries: What was typed after it, each time.
        form: What to write, for people.

    Raises:
        InputError: An entry is no pair, or names what another has named.
    """
    read: dict[str, str] = {}
    for entry in entries or ():
        name, _, value = entry.partition("=")
        if not name or not value:
            raise InputError(f"{flag} {entry}: write {form}")
        if name in read:
            raise InputError(f"{flag} {entry}: {name!r} is {read[name]} already")
        read[name] = value
    return read


def to_engines(entries: Iterable[str] | None) -> dict[str, str]:
    """Return the engines of `--engine-for` by name.

    Raises:
        InputError: As of `to_pairs`.
    """
    return to_pairs("--engine-for", entries, "NAME=SPEC, such as draft=bundled:draft")


def to_map(entries: Iterable[str] | None) -> dict[str, str]:
    """Return our name by column, as `--map` says it.

    Raises:
        InputError: As of `to_pairs`.
    """
    return to_pairs("--map", entries, "COLUMN=NAME, such as question=problem")
