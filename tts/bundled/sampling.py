"""Batch sampling and step scoring with vLLM in this process, for training data and measures."""

import ctypes
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.bundled.corpus import render
from tts.prompts import STEP_TAG
from tts.types import Prompt

KV_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion: its text, and tokens generated."""

    text: str
    num_tokens: int


def prepare() -> None:
    """Set up vLLM for this process; call before anything imports torch."""
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    library = Path(sys.prefix) / "lib" / "libiomp5.so"
    # libgomp's spinning barriers collapse on a busy machine: a tenth of the tokens per second.
    if library.exists() and "torch" not in sys.modules:
        os.environ.setdefault("KMP_BLOCKTIME", "5")
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


class Sampler:
    """A policy in vLLM."""

    def __init__(self, folder: Path, *, max_tokens: int = 512, seed: int = 0) -> None:
        self._llm = _load(folder, runner="generate", seed=seed)
        self._max_tokens = max_tokens

    def sample(
        self, prompts: Sequence[Prompt], *, n: int, temperature: float = 0.8
    ) -> list[list[Sample]]:
        """Return n completions of each prompt."""
        from vllm import SamplingParams

        # No seed per request: vLLM 0.32 on a CPU dies when a seeded request's prompt is split
        # between two engine steps. The engine's own seed serves as well for statistics.
        params = SamplingParams(n=n, temperature=temperature, max_tokens=self._max_tokens)
        outputs = self._llm.generate([render(p) for p in prompts], params, use_tqdm=False)
        return [[Sample(c.text, len(c.token_ids)) for c in output.outputs] for output in outputs]


class Scorer:
    """A process reward model in vLLM."""

    def __init__(self, folder: Path) -> None:
        self._llm = _load(folder, runner="pooling")
        self._tag = self._llm.get_tokenizer().convert_tokens_to_ids(STEP_TAG)

    def score(self, prompts: Sequence[Prompt]) -> list[list[float]]:
        """Return for each prompt of `prompts.reward` the probability of each step to be right."""
        from vllm import PoolingParams

        params = PoolingParams(task="token_classify", step_tag_id=self._tag)
        outputs = self._llm.encode(
            [render(p) for p in prompts], params, pooling_task="token_classify", use_tqdm=False
        )
        return [output.outputs.data[:, 1].tolist() for output in outputs]


def _load(folder: Path, *, runner: str, seed: int = 0) -> Any:
    from vllm import LLM

    return LLM(
        str(folder),
        runner=runner,
        seed=seed,
        dtype="float32",
        enforce_eager=True,
        block_size=32,
        kv_cache_memory_bytes=KV_BYTES,
        max_model_len=8192,
        max_num_seqs=256,
        disable_log_stats=True,
        skip_mm_profiling=True,
    )
