"""Sparse decode inside the real vLLM: the same as dense with every page, and bounded without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, **environment: str) -> str:
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-4_000:]
    return process.stdout


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(900)
def test_every_page_is_dense_and_fewer_pages_are_not(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    # 330 + 6 tokens are 11 pages of 32. The first keeps all of them, through the rewritten table;
    # the second 4: different tokens, and only for the requests of more than 4 pages.
    every = {"budget": 352, "min_context": 0, "dense_layers": 0}
    few = {"budget": 128, "min_context": 0, "dense_layers": 0}
    mixed = {"budget": 128, "min_context": 300, "dense_layers": 1}
    output = run(
        "-m", "tests.engine.sparse_engines", str(tmp_path), json.dumps([every, few, mixed])
    )
    found = json.loads(output.splitlines()[-1])
    dense, same, sparse, some = found["results"]
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
    # Mean keys are 1 / (2 * 32) of a layer's cache; stock and dense layers have none.
    shares = [[means / cache for cache, means in layers] for layers in found["memory"]]
    assert shares == [[0, 0, 0], [1 / 64] * 3, [1 / 64] * 3, [0, 1 / 64, 1 / 64]]


def values(row: list[tuple[int, float]]) -> list[float]:
    return [logprob for _, logprob in row]


def test_the_plug_in_is_inert() -> None:
    program = (
        "import sys; from tts.engine import vllm_plugin; vllm_plugin.register(); "
        "print(sorted({'torch', 'vllm', 'triton'} & set(sys.modules)))"
    )
    assert run("-c", program).strip() == "[]"


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_a_cpu_refuses_to_share_prefixes_and_says_why() -> None:
    pytest.importorskip("vllm")
    program = (
        "from tts.engine import host, vllm_plugin\n"
        "host.load_vllm()\n"
        "try:\n    vllm_plugin.check_shared_prefix()\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    said = run("-c", program)
    assert said.startswith("CapabilityError shared_prefix=True needs an NVIDIA GPU: ")
    assert "returns no log-sum-exp" in said


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(900)
def test_the_cuda_backend_plans_and_attends_with_interpreted_kernels() -> None:
    pytest.importorskip("vllm")
    pytest.importorskip("triton")
    output = run("-m", "tests.engine.cuda_steps", TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
    found = json.loads(output.splitlines()[-1])
    assert (found["name"], found["head_sizes"]) == ("CUSTOM", [64, 128])
    assert "does not support a sliding window" in found["refused"]
    # A prefill is FlashAttention's, a short batch shares its prefix, a long one selects pages.
    assert found["prefill"] and found["shared"] and found["selecting"]
    assert found["error"] < 2e-6
