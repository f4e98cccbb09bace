"""Write a run as a pool of recorded samples, which costs nothing to draw from again."""

from pathlib import Path
from typing import Annotated

import typer

from tts.console import flags, output
from tts.evals.benchmarks.pool import fill_in_statements
from tts.evals.pool_export import export_pool
from tts.parts.build import build_part

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Write pools of recorded samples.\n\n"
        "Example: tts pool export runs/gsm8k-self_consistency-0f3a -o pool.jsonl.gz"
    ),
)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")],
    out: Annotated[Path, flags.out_file("The file to write; compressed if it ends in .gz.")],
    token_ids: Annotated[
        bool, typer.Option("--token-ids", help="Write the ids of generated tokens too.")
    ] = False,
    logprobs: Annotated[
        bool,
        typer.Option("--logprobs", help="Write log-probabilities and confidences of tokens too."),
    ] = False,
) -> None:
    """Write a run's samples: texts, answers, whether they are right, and token counts.

    Example: tts pool export runs/gsm8k-self_consistency-0f3a -o pool.jsonl.gz
    """
    done = export_pool(run, out, token_ids=token_ids, logprobs=logprobs)
    output.print_text(f"pool   {out}, {done.problems:,} problems, {done.samples:,} samples")
    if done.without_text:
        output.print_text(
            f"note   {done.without_text:,} samples have no text: several completions made them up, "
            "or the run reused those of another"
        )
    if done.cut:
        output.print_text(
            f"note   a rule or a limit decided how many samples {done.cut:,} problems have; these "
            "are no fair draw"
        )
    most = done.samples // done.problems
    output.print_text(f"use    tts eval pool --model replay:{out} --set n={most}")


@app.command()
def statements(
    pool: Annotated[Path, typer.Argument(help="The pool's file.", metavar="POOL")],
    benchmark: Annotated[
        str, typer.Argument(help="The benchmark that it was drawn from.", metavar="BENCHMARK")
    ],
    out: Annotated[Path, flags.out_file("The file to write; compressed if it ends in .gz.")],
    split: Annotated[str, typer.Option("--split", help="The part of the benchmark.")] = "test",
    data: flags.DataFlag = None,
    columns: flags.MapFlag = None,
) -> None:
    """Write a pool with the statements of its problems, where its file left them out.

    Routers, heads and whatever else reads a problem need them.

    Example: tts pool statements gsm8k.jsonl.gz gsm8k -o stated.jsonl.gz
    """
    source = {"data": data, "map": flags.to_map(columns)}
    given = {name: value for name, value in source.items() if value}
    found = build_part("benchmark", benchmark, given)
    number = fill_in_statements(pool, found.problems(split), out)
    output.print_text(f"pool   {out}, {number:,} problems with their statements")
    output.print_text(f"use    tts eval pool --model replay:{out}")
