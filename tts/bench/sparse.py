"""Sparse decode against stock vLLM: milliseconds per decode step, side by side in one run.

Two engines of one random model in this process, each with the same prompts in its own KV cache;
their decode steps alternate, so that what else the machine does meets both. The speed-up is the
median of the ratios of neighbouring steps. Random weights say nothing about accuracy, see
`tts bench sparse_quality`.
"""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from tts.console import flags, output
from tts.engine.sparse_config import SparseConfig


def sparse(
    context: Annotated[
        int, typer.Option("--context", min=64, help="Tokens in each prompt.")
    ] = 16_384,
    batch: Annotated[
        int, typer.Option("--batch", min=1, help="Requests that decode together.")
    ] = 8,
    keep: Annotated[
        str,
        typer.Option(
            "--sparse", help="What sparse decode keeps, such as budget=1024,dense_layers=0."
        ),
    ] = "budget=1024",
    threads: Annotated[
        int, typer.Option("--threads", min=1, help="Threads of the CPU kernels.")
    ] = 2,
    layers: Annotated[int, typer.Option("--layers", min=1, help="Layers of the random model.")] = 8,
    steps: Annotated[
        int, typer.Option("--steps", min=1, help="Decode steps timed on each engine.")
    ] = 64,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure sparse decode against stock vLLM on a CPU.

    Example: tts bench sparse --context 16384 --batch 8 --sparse budget=1024
    """
    # Loads numpy; `tts bench --help` does without.
    bench = import_module("tts.bench.sparse_run")
    plan = bench.SpeedPlan(context, batch, SparseConfig.parse(keep), threads, layers, steps)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        import_module("tts.engine.host").load_vllm()
        bench.save_random_model(folder, layers)
        output.print_note(f"prefilling 2 x {batch} prompts of {context} tokens")
        stock, ours = bench.measure_steps(plan, folder)
    found = bench.figures(plan, stock, ours)
    if as_json:
        output.print_json({"schema": 1, **found})
        return
    numbers = ("stock", "sparse", "speed-up")
    table = output.new_table("ms per decode step", *numbers, right=numbers)
    for name, prefix in (("wall", ""), ("CPU time", "cpu_")):
        output.add_row(
            table,
            name,
            f"{found[f'stock_{prefix}ms']:.1f}",
            f"{found[f'sparse_{prefix}ms']:.1f}",
            f"{found[f'{prefix}speedup']:.2f}",
        )
    output.print_table(table)
    output.print_text(
        f"{batch} requests of {context} tokens, {layers} layers, {threads} threads, {plan.sparse}; "
        f"medians of {steps} steps"
    )
