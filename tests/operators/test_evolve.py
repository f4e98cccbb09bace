"""Rounds of attempts: what is shown, what is dropped, when it ends, and that the best is needed."""

import re
from collections.abc import Sequence

from tests.support.results import noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.evolve import evolve
from tts.operators.sample import sample
from tts.operators.select import select
from tts.pipeline import Pipeline
from tts.protocols import Context, VerifierSpec
from tts.types import Result, Score, Trajectory


class Tenths:
    """Scores an answer by a tenth of it, at most 1, and says so."""

    def __init__(self, *, compares: bool = False) -> None:
        self.spec = VerifierSpec(unit_interval=True, compares=compares)
        self.sizes: list[int] = []

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        self.sizes.append(len(trajectories))
        values = [int(t.answer or 0) for t in trajectories]
        return [Score(min(1.0, value / 10), report=f"{value} is low") for value in values]

    async def aclose(self) -> None:
        pass


def climber(ask: Ask) -> Line:
    """Drafts say 1, 2, 3; attempt i of a round says the first attempt shown, and i more."""
    shown = re.findall(r"boxed\{(\d+)\}", ask.prompt)
    return Line(boxed(int(shown[0]) + ask.index if shown else 1 + ask.index))


def run(graph: Pipeline, *, compares: bool = False) -> tuple[Result, ScriptedEngine, Tenths]:
    engine, verifier = ScriptedEngine(climber), Tenths(compares=compares)
    result = solve(engine, graph >> select(by="own"), verifiers={"own": verifier})
    return result, engine, verifier


def test_a_round_improves_on_the_best_and_drops_copies() -> None:
    graph = sample(n=3) >> evolve(verifier="own", rounds=2, n=3, keep=2)
    result, engine, _ = run(graph)
    # Drafts 1, 2, 3; then from 3: 3 (a copy), 4, 5; then from 5: 5 (a copy), 6, 7.
    assert result.answer is not None and result.answer.text == "7"
    assert noted(result, "round") == [
        {"number": 1, "mean": 0.45, "best": 0.5, "copies": 1},
        {"number": 2, "mean": 0.65, "best": 0.7, "copies": 1},
    ]
    second = prompts_of(engine)[2]
    assert re.findall(r"boxed\{(\d+)\}", second) == ["5", "4"]
    assert "Score of this attempt: 0.5. 5 is low" in second


def test_it_ends_with_an_attempt_that_has_nothing_wrong() -> None:
    # 3, 5, 7, 9, 11: four rounds after the drafts, the last of which is above 10.
    result, _, _ = run(sample(n=3) >> evolve(verifier="own", rounds=9, n=3))
    assert len(noted(result, "round")) == 4
    assert [stop.rule for stop in result.facts.stopped_by] == ["nothing to improve"]


def test_it_ends_after_rounds_without_gain() -> None:
    graph = sample(n=3) >> evolve(verifier="own", rounds=9, n=1)  # which copies the best
    result, _, _ = run(graph)
    assert [event["copies"] for event in noted(result, "round")] == [1, 1]
    assert [stop.rule for stop in result.facts.stopped_by] == ["no better attempt in 2 rounds"]
    assert result.answer is not None and result.answer.text == "3"


def test_what_is_shown_is_what_gains() -> None:
    """Shown a random draft in place of the best, rounds reach no further than drafts do."""
    rounds = evolve(verifier="own", rounds=2, n=3)
    result, _, _ = run(sample(n=3) >> rounds)
    assert result.answer is not None and result.answer.text == "7"

    def blind(ask: Ask) -> Line:
        return climber(ask) if "Attempt 1" not in ask.prompt else Line(boxed(1 + ask.index))

    graph = sample(n=3) >> rounds >> select(by="own")
    without = solve(ScriptedEngine(blind), graph, verifiers={"own": Tenths()})
    assert without.answer is not None and without.answer.text == "3"


def test_a_verifier_that_compares_sees_all_of_them_anew() -> None:
    _, _, verifier = run(sample(n=3) >> evolve(verifier="own", rounds=2, n=3), compares=True)
    assert verifier.sizes == [3, 5, 7]  # two more in each round: one of three is a copy


def test_nothing_to_start_from_is_said() -> None:
    engine = ScriptedEngine(lambda ask: Line("I do not know"))
    graph = sample(n=2) >> evolve(verifier="own") >> select(by="own")
    result = solve(engine, graph, verifiers={"own": Tenths()})
    assert result.answer is None
    assert "no scored attempt to improve on" in result.reason
