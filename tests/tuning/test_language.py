"""A model proposes points: what it is shown, what is mended, what is replaced."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.summaries import summary
from tts.tuning.language import LanguageProposer, mend, parse_proposals
from tts.tuning.propose import TOO_DEAR
from tts.tuning.space import Point, Space
from tts.tuning.trial import Trial
from tts.types.figures import Cost

SPACE = Space(
    {"mixture": {"n": (1, 4, 16), "engine": ("small", "big")}, "single": {"t": (0.0, 0.8)}}
)
FOUR = {"preset": "mixture", "values": {"n": 4, "engine": "big"}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('Thinking [{"no": ...\n```json\n[{"preset": "a"}]\n```', [{"preset": "a"}]),
        ('[{"preset": "a"}] or rather [{"preset": "b"}, {"preset": "c"}] so', [
            {"preset": "b"},
            {"preset": "c"},
        ]),
        ("no list", []),
        ('[{"preset": "a", "n": ' + "9" * 5000 + "}]", []),
        ('[{"preset": "a"', []),
        ('[{"preset": "a"}, {"preset": "b", "val', [{"preset": "a"}]),
        ('[{"preset": "a"}, {"preset": "b"},]', [{"preset": "a"}, {"preset": "b"}]),
        ('1. {"n": 2}\n2. {"preset": "a", "values": {"n": 2}}', [
            {"preset": "a", "values": {"n": 2}},
        ]),
    ],
)  # fmt: skip
def test_the_last_list_of_a_reply_is_read(text: str, found: list[Any]) -> None:
    assert parse_proposals(text) == found


@pytest.mark.parametrize(
    ("proposal", "values", "is_changed"),
    [
        (FOUR, (4, "big"), False),
        ({**FOUR, "values": {"n": 12, "engine": "big"}}, (16, "big"), True),  # 16 is nearer than 4
        ({**FOUR, "values": {"n": 4, "engine": "big", "k": 3}}, (4, "big"), True),
        ({**FOUR, "values": {"n": "4", "engine": "big"}}, (4, "big"), True),
        ({"preset": "mixture", "n": 4, "engine": "big"}, (4, "big"), False),
        # As Qwen2.5-Coder-1.5B writes them, in the form in which values are offered.
        ({**FOUR, "values": {"n": [3, 6], "engine": ["big"]}}, (4, "big"), True),
    ],
)
def test_values_that_are_not_offered_become_the_nearest(
    proposal: Any, values: tuple[Any, ...], is_changed: bool
) -> None:
    point = Point("mixture", tuple(zip(("n", "engine"), values, strict=True)))
    assert mend(proposal, SPACE, random.Random(0)) == (point, is_changed)


@pytest.mark.parametrize("proposal", [None, 3, {}, {"preset": "dual"}, {"preset": ["single"]}])
def test_what_names_no_preset_means_nothing(proposal: Any) -> None:
    assert mend(proposal, SPACE, random.Random(0)) is None


@pytest.mark.parametrize(
    "values",
    [
        None,
        {},
        {"engine": "huge"},
        {"n": True, "engine": None},
        {"n": 10**400},
        {"n": "[" * 99_999, "engine": "9" * 5000},
    ],
)
def test_missing_values_are_drawn(values: Any) -> None:
    mended = mend({"preset": "mixture", "values": values}, SPACE, random.Random(0))
    assert mended is not None
    point, is_changed = mended
    chosen = dict(point.values)
    assert is_changed and chosen["n"] in (1, 4, 16) and chosen["engine"] in ("small", "big")


def trial(point: Point, accuracy: float, tokens: float) -> Trial:
    return Trial(point, replace(summary(), accuracy=accuracy, cost=Cost(tokens=tokens)))


def searched(
    reply: Callable[[str, str], str], number: int
) -> tuple[list[Point], list[tuple[str, str]], LanguageProposer]:
    """Return what is proposed, and what the model was asked, by name."""
    asked: list[tuple[str, str]] = []

    async def ask(name: str, text: str) -> str:
        asked.append((name, text))
        return reply(name, text)

    async def work() -> tuple[list[Point], LanguageProposer]:
        proposer = LanguageProposer(SPACE, 0, ask=ask, limit="900 tokens")
        proposer.tell(trial(Point("single"), 0.25, 77.0), 0.25)
        points: list[Point] = []
        while len(points) < number and (point := await proposer.propose()) is not None:
            points.append(point)
            proposer.tell(trial(point, 0.5, 1000.0), TOO_DEAR)
        return points, proposer

    points, proposer = asyncio.run(work())
    return points, asked, proposer


def test_the_model_is_shown_the_space_the_limit_and_all_that_was_tried() -> None:
    points, asked, proposer = searched(lambda name, _: json.dumps([FOUR]) + f" said in {name}", 6)
    names = [name for name, _ in asked]
    assert names == ["proposals 0", "guidelines 1", "proposals 1"]
    first, _, last = (text for _, text in asked)
    assert points[0] == Point("mixture", (("n", 4), ("engine", "big")))
    assert '"preset": "single", "values": {}, "accuracy": 0.25' in first
    assert 'such as {"preset": "mixture", "values": {"n": 1, "engine": "small"}}' in first
    assert '"tokens a problem": 77' in first and "900 tokens" in first and '"big"' in first
    assert last.count("(too dear)") == 5
    assert "Earlier guideline: " in last and "said in guidelines 1" in last
    # The one that it proposes is new in the first round alone; four and five are drawn.
    assert len(set(points)) == 6
    assert proposer.notes == [
        "2 rounds: 1 proposals as the model made them, 0 mended; replaced by random ones: 1 known "
        "before, 6 unreadable or missing"
    ]


def test_a_model_that_says_nothing_is_a_random_search_that_ends_with_the_space() -> None:
    points, _, _ = searched(lambda *_: "I cannot", 99)
    assert len(points) == len(set(points)) == SPACE.size == 3 * 2 + 2
