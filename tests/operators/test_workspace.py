"""What is shown of attempts that are too long together, worked by hand."""

from dataclasses import replace

import pytest

from tests.support.results import prompts_of
from tests.support.solving import solve
from tts.engine.scripted import ALL, Line, ScriptedEngine
from tts.operators import fuse, sample
from tts.operators._workspace import share
from tts.types import Sampling


@pytest.mark.parametrize(
    ("counts", "room", "shares"),
    [
        ([50, 50], 60, [30, 30]),
        ([10, 90], 60, [10, 50]),  # the short one whole, the long one the rest
        ([90, 10, 90], 61, [25, 10, 26]),
        ([5, 5, 5], 7, [2, 2, 3]),
        ([5, 5], 0, [0, 0]),
    ],
)
def test_short_ones_are_shown_whole(counts: list[int], room: int, shares: list[int]) -> None:
    assert share(counts, room) == shares
    assert sum(shares) <= room


def drafts(*texts: str, token_ids: bool = True) -> ScriptedEngine:
    capabilities = replace(ALL, token_ids=token_ids)
    return ScriptedEngine(
        lambda ask: Line("so" if "Attempt" in ask.prompt else texts[ask.index]),
        capabilities=capabilities,
    )


@pytest.mark.parametrize("token_ids", [True, False])
def test_the_ends_of_long_ones_are_shown(token_ids: bool) -> None:
    engine = drafts("a" * 10, "b" * 100, token_ids=token_ids)
    result = solve(engine, sample(n=2) >> fuse(max_shown_tokens=50))
    shown = prompts_of(engine)[1]
    assert "Attempt 1:\n" + "a" * 10 + "\n" in shown
    assert "Attempt 2:\n" + "b" * 40 + "\n" in shown
    assert "of 2 attempts with 110 tokens the last 50 are shown" in str(result.trace)


def test_an_answer_longer_than_the_context_leaves_half_of_it() -> None:
    engine = drafts("a" * 300, "b" * 300)
    engine.info = replace(engine.info, context_tokens=1000)
    solve(engine, sample(n=2) >> fuse(), sampling=Sampling(max_tokens=5000))
    shown = prompts_of(engine)[1]
    assert 200 < shown.count("a") + shown.count("b") < 500
    assert 1000 - len(shown) >= 480  # what stands around attempts is reckoned in tokens
