"""The embedded engine on this machine, in the forms that a GPU has, against the texts of the CPU.

python tools/gpu_engine.py TEXTS reads the texts at temperature 0 that the CPU wrote, and writes
them on a CPU where the file is missing. Prints JSON.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tts import prompts
from tts.engine.machine import Machine
from tts.engine.sparse_config import SparseConfig
from tts.engine.vllm import VLLMEngine
from tts.errors import TTSError
from tts.protocols import Engine
from tts.tasks import chain
from tts.types import GenerationRequest, Sampling

NUM_PROBLEMS, MAX_TOKENS = 8, 160
GREEDY = Sampling(temperature=0.0, max_tokens=MAX_TOKENS)
ON_GPU = bool(Machine.this().gpu_bytes)
# By name: what the engine is made with. Sparse decode keeps all that these contexts hold.
FORMS: dict[str, dict[str, Any]] = {
    "eager": {"enforce_eager": True},
    "graphs": {"enforce_eager": False},
    "sparse": {"sparse": SparseConfig(1_024)},
    "shared_prefix": {"shared_prefix": True},
}


async def greedy_texts(engine: Engine) -> tuple[list[str], int]:
    """Return a text for each problem, and how many tokens they have."""
    problems = list(chain.problems("test"))[:NUM_PROBLEMS]
    streams = [engine.generate(GenerationRequest(prompts.solve(p), GREEDY)) for p in problems]
    done = [await anext(stream) for stream in streams]
    return [one.text for one in done], sum(len(one.token_ids) for one in done)


async def try_form(name: str, expected: list[str] | None) -> dict[str, Any]:
    """Run the engine in one form; an error is data."""
    options = {"dtype": "float32", "max_model_len": 2048, "gpu_memory_utilization": 0.3}
    try:
        async with VLLMEngine("bundled:reasoner", **options, **FORMS[name]) as engine:
            await greedy_texts(engine)  # compiles, and captures graphs
            start = time.perf_counter()
            texts, tokens = await greedy_texts(engine)
            pace = tokens / (time.perf_counter() - start)
    except TTSError as error:
        return {"form": name, "is_ok": not ON_GPU and name == "shared_prefix", "error": str(error)}
    equal = sum(a == b for a, b in zip(texts, expected or texts, strict=True))
    # Another order of sums may turn one text in many; a wrong kernel turns most.
    is_ok = equal >= NUM_PROBLEMS - 2
    told = f"{equal} of {NUM_PROBLEMS}"
    return {"form": name, "is_ok": is_ok, "equal": told, "pace": pace, "texts": texts}


def main(path: Path) -> dict[str, Any]:
    """Run all forms, or on a CPU those that need no compiler."""
    expected = json.loads(path.read_text()) if path.is_file() else None
    names = list(FORMS) if ON_GPU else ["eager", "sparse", "shared_prefix"]
    forms = [asyncio.run(try_form(name, expected)) for name in names]
    if expected is None and not ON_GPU:
        path.write_text(json.dumps(forms[0]["texts"], indent=1) + "\n")
    return {"is_ok": all(form["is_ok"] for form in forms), "forms": forms}


if __name__ == "__main__":
    os.environ.pop("TRITON_INTERPRET", None)  # the engine's own kernels are not to be interpreted
    found = main(Path(sys.argv[1]))
    sys.stdout.write(json.dumps(found) + "\n")
