"""vLLM's own `LLM.generate` in a process of its own, driven through standard input and output.

The first line of its input is `{"engine": {...}, "prompts": [[id, ...], ...], "sampling": {...}}`,
the last two as `LLM.generate` takes them; it answers with `{}` once the model is loaded. To every
further line it answers with one round, `{"seconds": ..., "tokens": ...}`.
"""

import json
import sys
import time

from tts.engine import host


def main() -> None:
    """Load the model, then generate as often as asked."""
    host.preload_openmp()  # else its threads collapse beside ours, and the comparison is unfair
    from vllm import LLM, SamplingParams

    order = json.loads(sys.stdin.readline())
    llm = LLM(**order["engine"])
    prompts = [{"prompt_token_ids": ids} for ids in order["prompts"]]
    sampling = SamplingParams(**order["sampling"])
    _answer({})
    for _ in sys.stdin:
        llm.reset_prefix_cache()
        start = time.perf_counter()
        outputs = llm.generate(prompts, sampling, use_tqdm=False)
        seconds = time.perf_counter() - start
        tokens = sum(len(sample.token_ids) for output in outputs for sample in output.outputs)
        _answer({"seconds": seconds, "tokens": tokens})


def _answer(content: object) -> None:
    sys.stdout.write(f"\n{json.dumps(content)}\n")  # vLLM may have left a line unfinished
    sys.stdout.flush()


if __name__ == "__main__":
    main()
