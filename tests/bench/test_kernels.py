"""The kernels' benchmark: its arithmetic, its tables, and what it says without a GPU."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from tests.support.commands import Outcome
from tts.bench import kernels
from tts.errors import CapabilityError

torch: Any = pytest.importorskip("torch")

from tts.bench.kernels_figures import TreeRow, sparse_row  # noqa: E402
from tts.kernels.workloads import DecodeWorkload, build_device_inputs  # noqa: E402


def test_shares_are_of_the_bytes_that_must_be_read() -> None:
    workload = DecodeWorkload((32_768,) * 16)
    # 4096 bytes a token: 2.147 GB dense in 1 ms and 134 MB of 2k tokens in 0.1 ms, at 4 TB/s.
    row = sparse_row(workload, 2_048, 4e12, (1_000.0, 200.0, 100.0), {"SDPA": 1_500.0})
    assert row.dense_share == pytest.approx(4_096 * 16 * 32_768 / 1e-3 / 4e12)
    assert row.attend_share == pytest.approx(4_096 * 16 * 2_048 / 1e-4 / 4e12)
    assert row.speedup == 5.0
    table = kernels.sparse_table([asdict(row)])
    assert [next(iter(column.cells)).plain for column in table.columns] == [  # type: ignore[union-attr]
        *("16", "32768", "2048", "16", "1000.0", "54%", "200.0", "5.0", "100.0", "34%"),
        *("1500.0", "-", "-"),
    ]


def test_the_tree_table_sets_the_speed_up_against_its_limit() -> None:
    row = TreeRow(16, 2_048, 2_048, dense=150.0, tree=100.0, speedup=1.5, limit=1.88)
    table = kernels.tree_table([asdict(row)])
    assert next(iter(table.columns[-1].cells)).plain == "80%"  # type: ignore[union-attr]


def test_benchmark_inputs_share_what_they_should() -> None:
    workload = DecodeWorkload((96, 96), num_q_heads=2, num_kv_heads=1, head_size=16)
    x = build_device_inputs(workload, device="cpu", shared_tokens=32)
    assert x.kv.shape == (2 + 2 * 4, 1, 16, 32)
    assert torch.equal(x.block_table[0, :2], x.block_table[1, :2])
    assert set(x.block_table.flatten().tolist()) == set(range(10))
    assert x.q.shape == (2, 2, 16) and x.seq_lens.tolist() == [96, 96]
    with pytest.raises(ValueError, match="whole pages"):
        build_device_inputs(workload, device="cpu", shared_tokens=40)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_can_be_done(tts: Callable[..., Outcome]) -> None:
    outcome = tts("bench", "kernels")
    assert outcome.code == 2
    assert "`tts bench kernels --compile` does not" in outcome.err


def test_compiled_figures_become_a_table(
    tts: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "kernel": "decode_kernel",
        "configuration": "sparse S=8",
        "registers": 96,
        "shared_bytes": 39_680,
        "local_bytes": 0,
        "programs_per_sm": 5,
        "instructions": {"HMMA": 8, "HGMMA": 0, "LDGSTS.128": 12},
    }
    monkeypatch.setattr(kernels, "compile_rows", lambda: [row])
    words = tts("bench", "kernels", "--compile").out.split()
    assert words[-9:] == ["decode", "sparse", "S=8", "96", "39680", "0", "5", "8", "12"]
    assert tts("bench", "kernels", "--compile", "--json").json["kernels"] == [row]


def test_interpreted_kernels_cannot_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(CapabilityError, match="cannot be compiled"):
        kernels.compile_rows()
