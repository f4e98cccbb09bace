"""Over-provision on recorded samples: the first to end are the shortest, which costs accuracy."""

from pathlib import Path

import pytest

from tests.support.solving import solve
from tts.engine.pools import RecordedProblem, load_pool
from tts.engine.scripted import Ask, Line, Script
from tts.pipeline import Pipeline
from tts.presets.load import load_preset
from tts.types import Sampling

POOL = Path(__file__).parents[2] / "examples/pools/gsm8k_qwen2.5-coder-0.5b.jsonl.gz"


def play(problem: RecordedProblem) -> Script:
    """Script: the recorded answers, each after as many tokens as it had taken."""

    def line(ask: Ask) -> Line:
        sample = problem.samples[ask.index]
        said = f"\\boxed{{{sample.answer}}}" if sample.answer is not None else ""
        return Line(said.rjust(sample.tokens or 0, "."))

    return line


def vote(pipeline: Pipeline) -> tuple[int, int, int]:
    """Return right answers, tokens, and those of the longest chains, over all problems."""
    right = tokens = chains = 0
    for problem in load_pool(str(POOL)).problems:
        result = solve(play(problem), pipeline, sampling=Sampling(max_tokens=1_000))
        text = None if result.answer is None else result.answer.text
        right += any(sample.correct for sample in problem.samples if sample.answer == text)
        tokens += result.usage.generated_tokens or 0
        chains += result.usage.sequential_tokens or 0
    return right, tokens, chains


@pytest.mark.slow
def test_the_first_eleven_of_sixteen_are_short_and_less_often_right() -> None:
    """100 problems of GSM8K, Qwen2.5-Coder-0.5B: what docs/graphs.md says of `first_finishers`."""
    first, whole = (
        load_preset("first_finishers", ["draft.n=16", f"answer.first={count}"]).pipeline
        for count in (11, 16)
    )
    assert vote(whole) == (33, 459_700, 46_301)
    assert vote(first) == (30, 433_952, 32_321)
