"""Flags that several subcommands share, each declared once; those of engines are in `_engine`."""

from pathlib import Path
from typing import Annotated

import typer

from tts.types.figures import UNITS

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
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
    typer.Option("--data", help="Read the problems from this JSON Lines file.", metavar="FILE"),
]
LimitFlag = Annotated[
    int | None, typer.Option("--limit", min=1, help="Use only the first problems, so many.")
]
SeedFlag = Annotated[int, typer.Option("--seed", help="The same seed gives the same samples.")]
BudgetFlag = Annotated[
    str | None,
    typer.Option(
        "--budget",
        help="Limit what each problem may cost: 8k (generated tokens), 30s, 64calls, $0.05, or "
        "several of these joined by commas.",
        metavar="LIMIT",
    ),
]
OutFlag = Annotated[
    Path, typer.Option("--out", help="The folder that holds the run folders.", metavar="FOLDER")
]
EmbeddedModelFlag = Annotated[
    str, typer.Option("--model", help="The model, run by the embedded vLLM.", metavar="MODEL")
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
