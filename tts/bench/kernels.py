"""The attention kernels: what they cost as compiled, and how fast they are on a GPU.

With --compile, registers, shared memory, spills and instructions of every shipped configuration as
an sm_90 binary; no GPU is needed. Without it, times on the GPU of this machine against
scaled_dot_product_attention, flex_attention and FlashAttention-3 (where vLLM's CUDA wheel is
installed), with the shares of the measured copy rate. Under Triton's interpreter
(TRITON_INTERPRET=1) a tiny grid runs on the CPU instead: its times say nothing.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.console import flags, output
from tts.errors import CapabilityError

_BASELINES = ("SDPA", "flex", "FA3")


def kernels(
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the kernels for sm_90 and measure nothing; this needs no GPU.",
        ),
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure a few cells of the grid only.")
    ] = False,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure the attention kernels, or compile them for a GPU that is not there.

    Example: tts bench kernels --compile
    """
    if compiled:
        rows = compile_rows()
        if as_json:
            output.print_json({"schema": 1, "kernels": rows})
        else:
            output.print_table(compile_table(rows))
        return
    found = measure(quick=quick)
    if as_json:
        output.print_json({"schema": 1, **found})
    else:
        print_tables(found)


def compile_rows() -> list[dict[str, Any]]:
    """Compile every shipped configuration in a process of its own.

    Floating-point contraction is stated, because Triton's default for it changes with the version.

    Raises:
        CapabilityError: Triton or its tools are missing.
    """
    if find_spec("triton") is None:
        raise CapabilityError("kernels cannot be compiled: triton is not installed")
    environment = {**os.environ, "TRITON_DEFAULT_FP_FUSION": "1"}
    environment.pop("TRITON_INTERPRET", None)
    process = subprocess.run(
        [sys.executable, "-m", "tts.kernels.compiled"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines()
        raise CapabilityError(lines[-1] if lines else "kernels cannot be compiled")
    rows: list[dict[str, Any]] = json.loads(process.stdout)
    return rows


def compile_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return one line per configuration; "products" are warp or warp-group matrix instructions."""
    numbers = ("regs", "shared", "spill", "per SM", "products", "async")
    table = output.new_table("kernel", "configuration", *numbers, right=numbers)
    for row in rows:
        counts = row["instructions"]
        output.add_row(
            table,
            row["kernel"].removesuffix("_kernel"),
            row["configuration"],
            str(row["registers"]),
            str(row["shared_bytes"]),
            str(row["local_bytes"]),
            str(row["programs_per_sm"]),
            str(counts["HMMA"] + counts["HGMMA"]),
            str(counts["LDGSTS.128"]),
        )
    return table


def sparse_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return one line per cell of the sparse grid; shares are of the copy rate."""
    numbers = ("B", "L", "K", "N", "dense", "%", "sparse", "x", "attend", "%", *_BASELINES)
    table = output.new_table(*numbers, right=numbers)
    for row in rows:
        others = row["others"]
        output.add_row(
            table,
            *(str(row[name]) for name in ("batch", "context", "budget", "page")),
            f"{row['dense']:.1f}",
            f"{row['dense_share']:.0%}",
            f"{row['sparse']:.1f}",
            f"{row['speedup']:.1f}",
            f"{row['attend']:.1f}",
            f"{row['attend_share']:.0%}",
            *(f"{others[name]:.1f}" if name in others else "-" for name in _BASELINES),
        )
    return table


def tree_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return one line per shared prefix; "share" is the speed-up's part of its limit."""
    numbers = ("branches", "prefix", "own", "dense", "tree", "x", "limit", "share")
    table = output.new_table(*numbers, right=numbers)
    for row in rows:
        output.add_row(
            table,
            *(str(row[name]) for name in ("branches", "prefix", "own")),
            f"{row['dense']:.1f}",
            f"{row['tree']:.1f}",
            f"{row['speedup']:.2f}",
            f"{row['limit']:.2f}",
            f"{row['speedup'] / row['limit']:.0%}",
        )
    return table


def measure(*, quick: bool) -> dict[str, Any]:
    """Measure on the GPU of this machine, or go through all of it under Triton's interpreter.

    Raises:
        CapabilityError: There is neither.
    """
    torch: Any = import_module("torch")
    workloads = import_module("tts.kernels.workloads")
    run = import_module("tts.bench.kernels_run").measure
    found: dict[str, Any]
    if os.environ.get("TRITON_INTERPRET") == "1":
        found = run("cpu", workloads.TINY)
    elif torch.cuda.is_available():
        found = run("cuda", workloads.QUICK if quick else workloads.ROOFLINE)
    else:
        raise CapabilityError(
            "no CUDA device here: times need one; `tts bench kernels --compile` does not"
        )
    return found


def print_tables(found: Mapping[str, Any]) -> None:
    """Print what `measure` returned."""
    output.print_text(
        f"{found['device']}, copies {found['copy_rate'] / 1e12:.2f} TB/s; us per layer"
    )
    output.print_table(sparse_table(found["sparse"]))
    output.print_table(tree_table(found["tree"]))
