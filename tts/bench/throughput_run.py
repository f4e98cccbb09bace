"""Self-consistency through the runtime beside `LLM.generate`: same model, prompts and sampling.

Each side has an engine of its own, in a process of its own: ours as `tts eval` runs it, the other
as vLLM's documentation says. They take turns, so that what slows the machine slows both.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tts import prompts
from tts.bench.runtime_run import Clock, Ratio, Side, forget_prefixes, ratio, tokens_of
from tts.engine.vllm import VLLMEngine
from tts.errors import EngineError
from tts.presets.load import Preset, load_preset
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.types import Problem, Result


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        samples: Of each problem.
        rounds: Both sides generate this often.
        max_tokens: Of one sample.
        context: Tokens that prompt and sample may take together.
        top_p: Nucleus of both sides.
    """

    samples: int
    rounds: int
    max_tokens: int
    context: int
    top_p: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Tokens per second, ours to theirs; `rounds` holds (ours, `LLM.generate`)."""

    throughput: Ratio
    rounds: tuple[tuple[Side, Side], ...]


async def measure(
    model: str, problems: Sequence[Problem], size: Size, *, note: Callable[[str], None]
) -> Figures:
    """Let both sides generate in turns.

    Args:
        model: A folder or a Hugging Face id, or bundled:NAME.
        problems: What is solved.
        size: How often, and how long.
        note: Told about each round.

    Raises:
        EngineError: The other side's process ended.
    """
    values = {"temperature": 0.8, "top_p": size.top_p, "max_tokens": size.max_tokens}
    settings = [f"sampling.{name}={value}" for name, value in values.items()]
    preset = load_preset("self_consistency", [f"n={size.samples}", *settings])
    rounds: list[tuple[Side, Side]] = []
    async with VLLMEngine(model, max_model_len=size.context) as engine:
        chosen = engine.info.settings
        # The engine's own tokenizer: both sides read the same ids.
        assert engine._encoder is not None
        order = {
            "engine": {
                "model": engine._args["model"],
                "dtype": engine._args["dtype"],
                "max_model_len": size.context,
                "enforce_eager": True,
                "max_num_seqs": chosen["max_num_seqs"],
                "kv_cache_memory_bytes": chosen.get("kv_cache_memory_bytes"),
            },
            "prompts": [engine._encoder.encode(prompts.solve(problem)) for problem in problems],
            "sampling": {**values, "n": size.samples, "seed": None},
        }
        with _peer(order) as theirs:
            for number in range(size.rounds + 1):  # the first warms up
                sides = [await _ours(engine, preset, problems), theirs()]
                if number:
                    rounds.append((sides[0], sides[1]))
                    paces = f"{_pace(sides[0])} beside {_pace(sides[1])}"
                    note(f"round {number} of {size.rounds}: {paces}")
    return Figures(ratio([_rate(ours) / _rate(peer) for ours, peer in rounds]), tuple(rounds))


async def _ours(engine: VLLMEngine, preset: Preset, problems: Sequence[Problem]) -> Side:
    await forget_prefixes(engine)
    with Clock() as clock:
        async with (
            Runtime(engine, max_problems=len(problems)) as runtime,
            runtime.run_many(Job.of_all(preset, problems)) as results,
        ):
            done: list[Result] = [result async for result in results]
    return clock.side(tokens_of(done))


@contextmanager
def _peer(order: dict[str, Any]) -> Iterator[Callable[[], Side]]:
    """Start the other side; yield a function that lets it generate once."""
    command = [sys.executable, "-m", "tts.bench.throughput_peer"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    quiet: dict[str, Any] = {"stderr": subprocess.DEVNULL, "start_new_session": True}
    with subprocess.Popen(command, **pipes, **quiet, text=True) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None and stdout is not None

        def ask(line: str) -> dict[str, Any]:
            stdin.write(f"{line}\n")
            stdin.flush()
            for answer in stdout:  # vLLM prints there too
                if answer.startswith("{"):
                    found: dict[str, Any] = json.loads(answer)
                    return found
            raise EngineError(f"the process of LLM.generate ended with code {process.wait()}")

        def generate() -> Side:
            round_ = ask("{}")
            return Side(0.0, round_["seconds"], round_["tokens"])

        try:
            ask(json.dumps(order))
            yield generate
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # vLLM's workers outlive a parent that is ended


def _rate(side: Side) -> float:
    return side.tokens / side.wall_seconds


def _pace(side: Side) -> str:
    return f"{side.tokens:,} tokens in {side.wall_seconds:.1f} s ({_rate(side):.0f} tok/s)"
