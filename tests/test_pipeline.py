"""Graphs: composition, names, checks."""

from dataclasses import fields
from typing import cast

import pytest

from tests.support.values import INFO
from tts.errors import CapabilityError, PipelineError
from tts.operators.sample import Sample, sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.pipeline import Node, Pipeline
from tts.protocols import Capabilities, Engine, Spec, Verifier, VerifierSpec


class Stub:
    """An operator that only has a spec."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    async def run(self, *_: object) -> None:
        raise NotImplementedError


class StubEngine:
    info = INFO
    capabilities = Capabilities(token_ids=True)


class StubVerifier:
    def __init__(self, spec: VerifierSpec) -> None:
        self.spec = spec


def of(**spec: object) -> Pipeline:
    return Pipeline.of(Stub(Spec(**spec)))  # type: ignore[arg-type]


def verifiers(**specs: VerifierSpec) -> dict[str, Verifier]:
    return {name: cast("Verifier", StubVerifier(spec)) for name, spec in specs.items()}


def edges(pipeline: Pipeline) -> set[tuple[str, str]]:
    return set(pipeline.graph.edges)


def test_chains_and_names() -> None:
    pipeline = sample(n=8) >> score(verifier="prm") >> vote(weights="prm")
    assert [name for name, _ in pipeline] == ["sample", "score", "vote"]
    assert edges(pipeline) == {("sample", "score"), ("score", "vote")}
    assert pipeline.sinks == ("vote",)


def test_a_branch_shares_its_source() -> None:
    draft = sample(n=4).named("draft")
    pipeline = (draft | draft >> score(verifier="a")) >> score(verifier="b")
    assert edges(pipeline) == {("draft", "score"), ("draft", "score_2"), ("score", "score_2")}
    assert (draft | draft >> vote()).sinks == ("draft", "vote")


def test_two_sources_are_two_nodes() -> None:
    pipeline = (sample(n=4) | sample(n=4)) >> vote()
    assert edges(pipeline) == {("sample", "vote"), ("sample_2", "vote")}
    assert pipeline.max_inputs() == {"sample": 0, "sample_2": 0, "vote": 8}


def test_inputs_keep_their_order() -> None:
    pipeline = (sample(n=1).named("z") | sample(n=2).named("a")) >> vote()
    node = dict(pipeline)["vote"]
    assert [pipeline.name_of(source) for source in node.inputs] == ["z", "a"]


def test_bounds_follow_the_graph() -> None:
    pipeline = sample(n=8) >> of(fan_out=3) >> of(max_outputs=5) >> of(fan_out=None) >> of()
    assert list(pipeline.max_inputs().values()) == [0, 8, 24, 5, None]


def test_it_is_written_as_presets_write_it() -> None:
    pipeline = sample(n=8).named("draft") >> vote(stop="settled")
    assert pipeline.to_mapping() == {
        "draft": {"operator": "sample", "n": 8},
        "vote": {"operator": "vote", "from": "draft", "stop": "settled"},
    }


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (vote(), "needs a `from`"),
        (sample() >> sample(), "takes no `from`"),
        (sample() >> of(accepts="partial"), "reads partial trajectories, 'sample' sends finished"),
        (sample() >> select(by="prm"), "needs the score 'prm'"),
        (sample() >> of(fan_out=None) >> vote(stop="settled"), "use `stop: never`"),
    ],
)
def test_graphs_that_cannot_run_are_refused(pipeline: Pipeline, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        pipeline.check()


def test_wrong_constructions_are_refused() -> None:
    with pytest.raises(PipelineError, match="at least one node"):
        Pipeline([]).check()
    with pytest.raises(PipelineError, match="two nodes are named 'a'"):
        _ = sample().named("a") | sample().named("a")
    with pytest.raises(PipelineError, match="2 ends"):
        (sample() | sample()).named("a")
    with pytest.raises(PipelineError, match="not in the graph"):
        Pipeline([Node(Sample(), (Node(Sample()),))])


def test_missing_capabilities_are_named_before_a_token_is_spent() -> None:
    engines = {"": cast("Engine", StubEngine())}
    with pytest.raises(
        CapabilityError,
        match="needs requests that end at once and log-probabilities of tokens, which",
    ):
        (sample() >> of(needs=frozenset({"logprobs", "cancel"}))).check_engines(engines, {})
    with pytest.raises(PipelineError, match="verifier 'prm'; this run has rule"):
        (sample() >> score(verifier="prm")).check_engines(engines, verifiers(rule=VerifierSpec()))


def test_only_probabilities_may_be_summed() -> None:
    engines = {"": cast("Engine", StubEngine())}
    pipeline = sample() >> score(verifier="prm") >> vote(weights="prm")
    pipeline.check_engines(engines, verifiers(prm=VerifierSpec(unit_interval=True)))
    with pytest.raises(PipelineError, match="no probabilities"):
        pipeline.check_engines(engines, verifiers(prm=VerifierSpec()))


def test_what_an_engine_lacks_is_said_in_words() -> None:
    names = {field.name for field in fields(Capabilities)}
    nothing = Capabilities(**dict.fromkeys(names, False))
    said = nothing.lacks(frozenset(names))
    assert "_" not in said and said.count(",") == len(names) - 2
    assert nothing.lacks(frozenset({"own_prompts", "teams"})) == (
        "answers to prompts of its own and workers over one cache"
    )
    assert Capabilities().lacks(frozenset({"own_prompts"})) == ""
