"""Scoring samples: what is equal is scored, and paid for, once."""

from collections.abc import Sequence

import pytest

from tests.support.scripts import says
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine, render
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.protocols import Context, VerifierSpec
from tts.types import Result, Score, ScoreRequest, Trajectory


class Reader:
    """Counts what it reads, and gives each trajectory another score."""

    def __init__(self, spec: VerifierSpec) -> None:
        self.spec = spec
        self.texts: list[str] = []

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        self.texts += [t.text for t in trajectories]
        return [Score(0.5 + len(self.texts) / 100)] * len(trajectories)

    async def aclose(self) -> None:
        pass


def read_by_model(graph: Pipeline) -> tuple[Result, list[ScoreRequest]]:
    asked: list[ScoreRequest] = []

    def rewards(request: ScoreRequest) -> tuple[float, ...]:
        asked.append(request)
        return (0.9 if "12" in request.prompt.prefill else 0.1,)

    return solve(ScriptedEngine(says(12, 12, 13), rewards=rewards), graph), asked


@pytest.mark.parametrize("chooser", [select(by="prm"), vote(weights="prm")])
def test_a_reward_model_reads_equal_samples_once(chooser: Pipeline) -> None:
    draw = sample(n=6)  # twelve four times, thirteen twice
    result, asked = read_by_model(draw >> score(verifier="prm") >> chooser)
    assert len(asked) == 2
    # What was read: both prompts, of one token per character.
    assert result.usage.scored_tokens == sum(len(render(request.prompt)) for request in asked)
    assert [t.scores["prm"].value for t in result.samples].count(0.9) == 4
    assert result.answer is not None and result.answer.text == "12"


def test_those_that_end_otherwise_are_not_equal() -> None:
    def cut_or_whole(ask: Ask) -> Line:
        return Line(r"\boxed{12}" + "x" * 500 * (ask.index % 2))

    reader = Reader(VerifierSpec(by_text=True))
    graph = sample(n=4) >> score(verifier="own") >> select(by="own")
    solve(ScriptedEngine(cut_or_whole), graph, verifiers={"own": reader})
    assert len(reader.texts) == 2


def test_what_reads_more_than_the_text_reads_each() -> None:
    reader = Reader(VerifierSpec())
    graph = sample(n=6) >> score(verifier="own") >> select(by="own")
    solve(ScriptedEngine(says(12, 12, 13)), graph, verifiers={"own": reader})
    assert len(reader.texts) == 6


def test_a_verifier_of_verifiers_is_as_those_that_it_asks() -> None:
    for by_text, read in ((True, 2), (False, 6)):
        members = {name: Reader(VerifierSpec(by_text=by_text)) for name in ("a", "b")}
        joined = Reader(VerifierSpec(verifiers=("a", "b")))
        graph = sample(n=6) >> score(verifier="own") >> select(by="own")
        solve(ScriptedEngine(says(12, 12, 13)), graph, verifiers={"own": joined, **members})
        assert len(joined.texts) == read
