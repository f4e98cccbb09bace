"""Clusters of steps by an embedding model; the scripted engine's counts the letters a to z."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.results import noted
from tests.support.searching import DigitVerifier, digits, expanded, grow, new_tree, search
from tts.engine.scripted import ALL, ScriptedEngine
from tts.errors import CapabilityError, ContextError, EngineError, TTSError
from tts.operators.map_parts import map_parts
from tts.operators.plan import plan
from tts.operators.tree_search import tree_search
from tts.operators.vote import vote
from tts.search.step_clusters import cluster_steps, embedding_cosines
from tts.search.tree import ROOT, SearchTree
from tts.strategies import ets
from tts.strategies.ets import Policy as ETS
from tts.strategies.ets_joint import Policy as ETSJoint
from tts.types import Budget, Embeddings, Result
from tts.types.arrays import FloatArray


class Embedder(ScriptedEngine):
    """Remembers what it has embedded; fails where it is told to."""

    def __init__(self, failures: dict[str, TTSError] | None = None, **options: Any) -> None:
        super().__init__(digits(), **options)
        self.failures = failures or {}
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        self.texts += texts
        for text in texts:
            if text in self.failures:
                raise self.failures[text]
        return await super().embed(texts)


def vectors_of(*texts: str) -> dict[str, FloatArray]:
    found = asyncio.run(ScriptedEngine(digits()).embed(texts))
    return dict(zip(texts, found.vectors, strict=True))


@pytest.mark.parametrize(
    ("texts", "distance", "expected"),
    [
        # (1, 1) and (1, 1) are one point; (2, 1) is 1 - 3 / (5 ** 0.5 * 2 ** 0.5) = 0.0513 away.
        (["ab", "ba", "aab", "c"], 0.05, [0, 0, 1, 2]),
        (["ab", "ba", "aab", "c"], 0.06, [0, 0, 0, 1]),
        # Length makes no difference; vectors of zeros are like none, and equal texts are one.
        (["ab", "abab", "7", "8", "7"], 0.05, [0, 0, 1, 2, 1]),
    ],
)
def test_clusters_by_hand(texts: list[str], distance: float, expected: list[int]) -> None:
    vectors = vectors_of(*texts)
    assert cluster_steps(texts, distance, lambda copies: embedding_cosines(vectors, copies)) == (
        expected
    )


def test_a_step_without_a_vector_is_like_no_other() -> None:
    def cluster(texts: list[str], vectors: dict[str, FloatArray]) -> list[int]:
        return cluster_steps(texts, 0.05, lambda copies: embedding_cosines(vectors, copies))

    assert cluster(["ab", "lost", "ba", "lost"], vectors_of("ab", "ba")) == [0, 1, 0, 1]
    assert cluster(["ab", "ba"], {}) == [0, 1]


def three_steps() -> SearchTree:
    tree = new_tree()
    grow(tree, ROOT, [0.5] * 3, texts=["ab", "ba", "c"])
    for text, vector in vectors_of("ab", "ba", "c").items():
        tree.add_embedding(text, vector)
    return tree


def test_of_steps_that_mean_the_same_one_is_kept() -> None:
    # Three leaves and the root cost 2/4 each, O = 1/3 each. Two clusters: one leaf of each gives
    # 2/3 - 3/2 + 1.5 = .667, all give 1 - 2 + 1.5 = .5, one gives 1/3 - 1 + .75 = .083.
    embedded = ETS(width=3, kv_weight=2.0, coverage=1.5, embedder="e")
    kept = expanded(embedded, three_steps())
    assert len(kept) == 2 and 3 in kept
    # By their letters there are three: two of them give 2/3 - 3/2 + 1 = .167, all again .5.
    by_ngrams = ETS(width=3, kv_weight=2.0, coverage=1.5)
    assert expanded(by_ngrams, three_steps()) == {1: 1, 2: 1, 3: 1}


def test_joint_ets_has_the_same_clusters() -> None:
    policy = ETSJoint(embedder="e")
    assert policy.program(three_steps(), [1, 2, 3], [1, 1, 1]).clusters.tolist() == [0, 0, 1]


def run(embedder: Embedder, budget: Budget | None = None) -> Result:
    pipeline = ets(width=8, kv_weight=1.0, embedder="e")
    engine = ScriptedEngine(digits())
    return search(engine, pipeline, engines={"e": embedder}, budget=budget)


def test_a_search_embeds_each_unfinished_step_once_and_is_charged_for_it() -> None:
    embedder = Embedder()
    result = run(embedder)
    assert result.answer is not None and result.reason == ""
    steps = {node["text"] for node in nodes(result) if "boxed" not in node["text"]} - {""}
    assert len(steps) < result.usage.calls
    assert sorted(embedder.texts) == sorted(steps)
    assert result.usage.scored_tokens == 2 * len(steps)  # "d" and a digit are two tokens


def nodes(result: Result) -> list[dict[str, Any]]:
    (figures,) = noted(result, "search")
    found: list[dict[str, Any]] = figures["tree"]["nodes"]
    return found


def test_nothing_is_embedded_for_clusters_that_are_worth_nothing() -> None:
    assert ETS(coverage=0.0, embedder="e").step_embedder == ""


@pytest.mark.parametrize("error", [EngineError("it died"), ContextError("too long")])
def test_a_step_that_cannot_be_embedded_is_a_warning(error: TTSError) -> None:
    result = run(Embedder({f"d{digit}": error for digit in range(10)}))
    assert result.answer is not None
    assert f"a step has no embedding: {error}" in result.reason


def test_embedding_keeps_within_the_budget() -> None:
    result = run(Embedder(), Budget(calls=11))  # eight first steps leave three calls
    assert result.usage.calls == 11
    assert "a step has no embedding: the budget of 11calls is spent" in result.reason


def test_the_engine_is_asked_for_before_a_token_is_spent() -> None:
    pipeline = plan(ask="decompose") >> map_parts(
        body=tree_search(policy=ETS(embedder="e")) >> vote(weights="prm")
    )
    assert pipeline.engines({"prm": DigitVerifier()}) == {"", "e"}
    engine = ScriptedEngine(digits())
    with pytest.raises(CapabilityError, match="needs the engine 'e'; this run has no other"):
        search(engine, pipeline)
    deaf = Embedder(capabilities=type(ALL)(token_ids=True))
    with pytest.raises(CapabilityError, match=r"needs embeddings.*MODEL\?pooling names one"):
        search(engine, pipeline, engines={"e": deaf})
    assert engine.requests == []
