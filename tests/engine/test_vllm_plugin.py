"""Sparse decode inside the real vLLM: the same as dense with every page, and bounded without."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tts.engine.vllm_plugin import SparseConfig

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> str:
    process = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr[-4_000:]
    return process.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_page_is_dense_and_fewer_pages_are_not(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    # 330 + 6 tokens are 11 pages of 32. The first keeps 12 of them through the rewritten table, the
    # second 4: different tokens, and only for the requests of more than 4 pages.
    every = {"budget": 384, "min_context": 0, "dense_layers": 0}
    few = {"budget": 128, "min_context": 0, "dense_layers": 0}
    mixed = {"budget": 128, "min_context": 300, "dense_layers": 1}
    output = run(
        "-m", "tests.engine.sparse_engines", str(tmp_path), json.dumps([every, few, mixed])
    )
    dense, same, sparse, some = json.loads(output.splitlines()[-1])
    for ours, theirs in zip(same, dense, strict=True):
        assert [token for token, _ in ours] == [token for token, _ in theirs]
        assert [lp for _, lp in ours] == pytest.approx([lp for _, lp in theirs], abs=1e-4)
    short, middle, long = 1, 2, 0
    assert values(sparse[short]) == pytest.approx(values(dense[short]), abs=1e-4)
    assert values(sparse[long]) != pytest.approx(values(dense[long]), abs=1e-3)
    # Sparse above 300 tokens only: in one batch, the others go the stock way.
    assert values(some[short]) == pytest.approx(values(dense[short]), abs=1e-4)
    assert values(some[middle]) == pytest.approx(values(dense[middle]), abs=1e-4)
    assert values(some[long]) != pytest.approx(values(dense[long]), abs=1e-3)


def values(row: list[tuple[int, float]]) -> list[float]:
    return [logprob for _, logprob in row]


def test_the_plug_in_is_inert() -> None:
    program = (
        "import sys; from tts.engine import vllm_plugin; vllm_plugin.register(); "
        "print(sorted({'torch', 'vllm', 'triton'} & set(sys.modules)))"
    )
    assert run("-c", program).strip() == "[]"


def test_the_configuration_travels_through_vllm() -> None:
    config = SparseConfig(1_024, dense_layers=2)
    assert SparseConfig.from_vllm({"other": 1, **config.to_vllm()}) == config
    assert SparseConfig.from_vllm({"other": 1}) is None
    assert SparseConfig.from_vllm(None) is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SparseConfig(1_024), 4_096),  # the break-even of selection on a CPU
        (SparseConfig(4_096), 8_192),  # twice the budget
        (SparseConfig(4_096, min_context=0), 0),
    ],
)
def test_short_requests_stay_dense(config: SparseConfig, expected: int) -> None:
    assert config.sparse_above == expected


@pytest.mark.slow
def test_selection_is_that_of_the_kernels() -> None:
    torch: Any = pytest.importorskip("torch")
    pytest.importorskip("vllm")
    from tts.engine.sparse_cpu import SparseStep, add_keys, select_table
    from tts.kernels import reference

    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 2, 3, 32, generator=generator)
    key = torch.randn(20 * 32, 2, 32, generator=generator)
    sums = torch.full((20, 64), 5.0)  # left over from earlier requests
    add_keys(sums, key, torch.arange(20 * 32), 32)
    add_keys(sums, key[:7], torch.tensor([-1] * 7), 32)
    expected_sums = key.view(20, 32, 64).sum(1)
    torch.testing.assert_close(sums, expected_sums)

    table = torch.randperm(20, generator=generator).view(2, 10)
    lens = torch.tensor([300, 130])  # 10 and 5 pages
    column, last = torch.arange(10), torch.tensor([[10], [5]])
    nothing = torch.empty(0)
    step = SparseStep(
        tokens=nothing,
        pages=table,
        forced=(column < 1) | (column >= last - 2),
        absent=column >= last,
        keep=4,
        lens=nothing,
        starts=nothing,
        schedule=nothing,
        rest=None,
    )
    scores = reference.page_scores(
        q.flatten(1, 2),
        expected_sums.view(20, 2, 32) / 32,
        table.int(),
        lens.int(),
        page_size=32,
        scale=1.0,
    )
    expected = reference.select_pages(scores, lens.int(), max_selected=4, page_size=32).pages
    physical = table[:, None].expand(2, 2, 10).gather(2, expected.long())
    by_head = physical * 2 + torch.arange(2)[:, None]
    assert torch.equal(select_table(q, sums, step), by_head.flatten(0, 1).int())
