"""The compile gate: what ships becomes an sm_90 binary that does not spill and uses the hardware.

In a process of its own, without the interpreter's variable and with floating-point contraction
stated, because Triton's default for it changes with the version.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (
    "import json; from tts.kernels import compiled; print(json.dumps(compiled.missing_tools()))"
)
MAX_SHARED_BYTES = 227 * 1024
REGISTERS_PER_SM = 65_536
Row = dict[str, Any]

# `find_spec` and not an import: Triton stays out of the process that runs the other tests.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton"),
]


def run_python(*arguments: str, **extra: str) -> Any:
    """Run Python on the checkout and return the JSON that it prints."""
    env = {**os.environ, "TRITON_DEFAULT_FP_FUSION": "1", **extra}
    if "TRITON_INTERPRET" not in extra:
        env.pop("TRITON_INTERPRET", None)
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4_000:]
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def table() -> list[Row]:
    reason = run_python("-c", PROGRAM)
    if reason is not None:
        pytest.skip(f"nothing can be compiled here: {reason}")
    rows: list[Row] = run_python("-m", "tts.kernels.compiled")
    return rows


def of(table: list[Row], kernel: str, configuration: str = "") -> list[Row]:
    rows = [r for r in table if r["kernel"] == kernel and configuration in r["configuration"]]
    assert rows, f"no {kernel} {configuration} in the table"
    return rows


def test_every_kernel_is_in_the_table(table: list[Row]) -> None:
    assert {row["kernel"] for row in table} == {
        "block_scores_kernel",
        "decode_kernel",
        "kv_major_kernel",
        "merge_kernel",
        "merge_ragged_kernel",
        "page_scores_kernel",
        "page_summary_kernel",
        "query_major_kernel",
        "select_pages_kernel",
        "tree_kernel",
        "view_kernel",
    }


def test_nothing_spills(table: list[Row]) -> None:
    spilled = [
        row
        for row in table
        if row["local_bytes"] or row["instructions"]["LDL"] or row["instructions"]["STL"]
    ]
    assert spilled == []


def test_everything_fits_the_card(table: list[Row]) -> None:
    assert max(row["shared_bytes"] for row in table) <= MAX_SHARED_BYTES
    assert all(row["registers"] * row["threads"] <= REGISTERS_PER_SM for row in table)


@pytest.mark.parametrize(
    ("kernel", "configuration", "programs"),
    [
        # 23 KB in flight per multiprocessor hide the memory's latency; one decode program has 32.
        ("decode_kernel", "", 4),
        ("tree_kernel", "", 2),
        ("view_kernel", "", 6),
        ("page_scores_kernel", "", 8),
        ("merge_kernel", "", 16),
        ("select_pages_kernel", "", 2),
    ],
)
def test_enough_programs_fit_a_multiprocessor(
    table: list[Row], kernel: str, configuration: str, programs: int
) -> None:
    assert min(row["programs_per_sm"] for row in of(table, kernel, configuration)) >= programs


@pytest.mark.parametrize(
    ("kernel", "instruction"),
    [
        # Keys and values of the next tiles are on their way while one is computed, page look-ups
        # notwithstanding; matrix products on the tensor cores; summaries in whole lines.
        ("decode_kernel", "LDGSTS.128"),
        ("decode_kernel", "HMMA"),
        ("tree_kernel", "LDGSTS.128"),
        ("view_kernel", "LDGSTS.128"),
        ("view_kernel", "HMMA"),
        ("page_scores_kernel", "LDG.128"),
        ("page_summary_kernel", "LDG.128"),
        ("merge_kernel", "LDG.128"),
        ("merge_ragged_kernel", "LDG.128"),
        ("kv_major_kernel", "HGMMA"),
        ("query_major_kernel", "HMMA"),
    ],
)
def test_the_expected_instructions_are_there(
    table: list[Row], kernel: str, instruction: str
) -> None:
    assert min(row["instructions"][instruction] for row in of(table, kernel)) > 0


def test_shared_prefix_tiles_of_64_rows_use_warp_group_products(table: list[Row]) -> None:
    for configuration in {row["configuration"] for row in of(table, "tree_kernel")}:
        shared, private = of(table, "tree_kernel", configuration)
        assert shared["instructions"]["HGMMA"] > 0
        assert private["instructions"]["HMMA"] > 0


def test_the_interpreter_is_refused() -> None:
    reason = run_python("-c", PROGRAM, TRITON_INTERPRET="1")
    assert "TRITON_INTERPRET is set" in reason
