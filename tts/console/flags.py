"""Flags that several subcommands share, each declared once; those of engines are in `_engine`."""

from pathlib import Path
from typing import Annotated

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SetFlag = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change what a preset says, such as n=32.", metavar="K=V"),
]
DataFlag = Annotated[
    Path | None, typer.Option("--data", help="JSON Lines in place of the download.")
]
LimitFlag = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first problems.")]
SeedFlag = Annotated[int, typer.Option("--seed", help="Same seed, same samples.")]
EmbeddedModelFlag = Annotated[str, typer.Option("--model", help="Of the embedded vLLM.")]
