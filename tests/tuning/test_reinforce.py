"""Graphs of models: counts by hand, no circles, and a gradient that goes the right way."""

import asyncio
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.scripts import boxed
from tests.support.solving import solve
from tests.support.summaries import summary
from tts.engine.scripted import Line, ScriptedEngine
from tts.presets.load import load_preset
from tts.tuning.graphs import Graph
from tts.tuning.models import LAST, Models, Slot
from tts.tuning.reinforce import Chances, Draw, GraphProposer
from tts.tuning.trial import Trial

SMALL, MIDDLE = ("", 0), ("", 1)
BIG = ("big", 0)
TWO = Models({"": 1, "big": 3}, 4)


def test_all_counts_that_leave_the_least_unspent() -> None:
    # 9 units of models for 1, 3 and 9: 9; 6 + 3; 3 + 6; 0 + 9; and the one for 9.
    models = Models({"1B": 1, "3B": 3, "8B": 9}, 9)
    assert set(models.counts()) == {(9, 0, 0), (6, 1, 0), (3, 2, 0), (0, 3, 0), (0, 0, 1)}
    # Units of 2 and 3 spend 7 of 7 by 2 + 2 + 3 alone.
    assert Models({"a": 2, "b": 3}, 7).counts() == [(2, 1)]
    # Nothing spends 5 of 5, so the one of 4 units is what leaves least.
    assert Models({"a": 4}, 5).counts() == [(1,)]
    assert all(sum(counts) <= 16 for counts in Models({"": 1, "big": 3}, 60).counts())


def test_nodes_without_a_way_to_the_last_are_dropped() -> None:
    graph = Graph((SMALL, MIDDLE, BIG), frozenset({(SMALL, MIDDLE), (BIG, LAST)}))
    assert graph.kept == (BIG,)
    assert list(graph.pipeline()) == ["big_0", "decide"]
    through = Graph((SMALL, MIDDLE, BIG), frozenset({(SMALL, BIG), (BIG, LAST)}))
    assert through.kept == (SMALL, BIG)


def test_a_graph_is_an_ordinary_preset(tmp_path: Path) -> None:
    edges = {(SMALL, MIDDLE), (SMALL, BIG), (MIDDLE, LAST), (BIG, LAST)}
    graph = Graph((SMALL, MIDDLE, BIG), frozenset(edges), frozenset({BIG}))
    point = graph.point(tmp_path)
    assert point == graph.point(tmp_path)
    own = ScriptedEngine(lambda ask: Line(boxed(1 if "Attempt" in ask.prompt else 2)))
    big = ScriptedEngine(lambda ask: Line(boxed(3)))
    result = solve(own, load_preset(point.preset).pipeline, engines={"big": big})
    assert {t.id.split(":")[0]: t.answer for t in result.trajectories} == {
        "own_0": "2",
        "own_1": "1",  # sees one attempt, which it revises
        "big_0": "3",
        "decide": "1",
    }
    assert len(own.requests) == 3 and len(big.requests) == 1


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_drawn_has_no_circle_and_reaches_the_last(seed: int) -> None:
    drawn = Chances(Models({"": 1, "big": 3}, 9)).draw(random.Random(seed))
    graph = drawn.graph
    order = {slot: place for place, slot in enumerate((*graph.slots, LAST))}
    assert all(order[source] < order[reader] for source, reader in graph.edges)
    assert graph.kept and graph.sources(LAST)
    # Who reads a revision never revises, and who reads nothing cannot.
    for slot in graph.revisers:
        read = {source for source, reader in graph.edges if reader == slot}
        assert read and not read & graph.revisers
    assert sum({"": 1, "big": 3}[engine] for engine, _ in graph.slots) == 9


def test_one_step_by_hand() -> None:
    # Two counts, (4, 0) and (1, 1): even, so each has 1/2. An edge of chance 0.5 was drawn.
    chances = Chances(TWO)
    assert TWO.counts() == [(1, 1), (4, 0)]
    edge: tuple[Slot, ...] = (BIG, LAST)
    drawn = Draw(Graph((SMALL, BIG), frozenset({(BIG, LAST)})), 0, {edge: (True, 0.5)})
    chances.learn(drawn, 1.0)
    # Half a step: the logit grows by 0.5 (1 - 0.5) = 0.25; those of the counts by +-0.25.
    assert chances.chance(edge) == pytest.approx(1 / (1 + math.exp(-0.25)))
    assert chances.counts == pytest.approx([0.25, -0.25])
    for _ in range(500):
        chances.learn(drawn, -2.0)
    assert chances.chance(edge) == pytest.approx(0.02)  # it stays within bounds


def test_it_learns_which_model_is_worth_its_units(tmp_path: Path) -> None:
    """Graphs are right as often as they have the big model before the last node."""

    def chance_of_big(*, learns: bool) -> float:
        async def work() -> float:
            folder = tmp_path / str(learns)
            proposer = GraphProposer(Models({"": 1, "big": 3}, 6), 0, folder=folder, learns=learns)
            for _ in range(40):
                point = await proposer.propose()
                if point is None:
                    break
                is_big = "big_0" in [name for name, _ in point.load().pipeline]
                made = replace(summary(), accuracy=0.9 if is_big else 0.3)
                proposer.tell(Trial(point, made), made.accuracy)
            return proposer._chances.chance((BIG, LAST))

        return asyncio.run(work())

    assert chance_of_big(learns=False) == 0.5
    assert chance_of_big(learns=True) > 0.6
