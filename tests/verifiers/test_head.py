"""The verifier that reads hidden states: those that came along, those of texts from elsewhere."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.searching import digits, search
from tests.support.solving import solve
from tests.support.verifiers import SMALL_HEAD, open_verifier
from tts.engine.scripted import ALL, Ask, Line, Script, ScriptedEngine
from tts.errors import CapabilityError, InputError
from tts.heads.head import load_head
from tts.operators.abandon import abandon
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.vote import vote
from tts.protocols import Verifier
from tts.runtime.log_file import LogFile
from tts.search.policy import SearchPolicy
from tts.session.verifiers import find_verifiers
from tts.strategies.rebase import Policy as Rebase
from tts.types import Budget, Result, States, StateSpec
from tts.verifiers.head import Config, HeadVerifier

SCORED = sample(n=2) >> score(verifier="head")
TWO_STEPS = "one\n\nso \\boxed{12}"


def says(text: str) -> Script:
    return lambda ask: Line(text)


def state_of(text: str) -> tuple[float]:
    """Return 9 after a text that speaks of a good step, 5 at first, 1 after a bad one."""
    answer = text.rpartition("<assistant>")[2]
    return (9.0 if "good" in answer else 1.0 if "bad" in answer else 5.0,)


def values(result: Result) -> list[tuple[float, ...]]:
    return [t.scores["head"].steps for t in result.trajectories]


def test_values_by_hand() -> None:
    # Standardised 7 - 5 = 2, logit 0.4 * 2; the place counts for nothing.
    data = np.array([7, 5], np.float16).tobytes()
    first, second = SMALL_HEAD.values(States((1,), (3, 8), data))
    assert first == pytest.approx(1 / (1 + np.exp(-0.8)))
    assert second == pytest.approx(0.5)


def test_states_come_with_completions_and_nothing_is_read_again() -> None:
    engine = ScriptedEngine(says("good\n\nso \\boxed{12}"), state_of=state_of)
    result = solve(engine, SCORED)
    assert [request.states for request in engine.requests] == [SMALL_HEAD.spec]
    (first, second), other = values(result)
    # The first step ends after the word.
    assert (first, second) == other == pytest.approx((1 / (1 + np.exp(-1.6)),) * 2)
    assert result.usage.scored_tokens == 0


def test_a_text_without_states_is_read_by_the_policy() -> None:
    engine = ScriptedEngine(says(TWO_STEPS), state_of=state_of)

    class Stripped(HeadVerifier):
        async def score(self, context: Any, trajectories: Any) -> Any:
            bare = [replace(t, states=None) for t in trajectories]
            return await super().score(context, bare)

    plain = solve(engine, SCORED)
    again = solve(engine, SCORED, verifiers={"head": Stripped(SMALL_HEAD, Config())})
    assert values(again) == values(plain)
    assert again.usage.scored_tokens
    spent = solve(
        engine,
        SCORED,
        verifiers={"head": Stripped(SMALL_HEAD, Config())},
        budget=Budget(calls=2),
    )
    assert all("calls" in (t.scores["head"].error or "") for t in spent.trajectories)


def test_texts_of_an_engine_without_states_are_read_by_another() -> None:
    policy = ScriptedEngine(says(TWO_STEPS), capabilities=replace(ALL, states=False))
    reader = ScriptedEngine(says(""), state_of=state_of)
    verifier = HeadVerifier(SMALL_HEAD, Config(reader="copy"))
    result = solve(policy, SCORED, verifiers={"head": verifier}, engines={"copy": reader})
    assert values(result) == [(0.5, 0.5)] * 2
    assert all(request.states is None for request in policy.requests)


def test_what_cannot_be_read_is_refused_before_a_token_is_spent() -> None:
    blind = ScriptedEngine(says(TWO_STEPS), capabilities=replace(ALL, states=False))
    with pytest.raises(
        CapabilityError, match=r"needs hidden states, which .*head\(reader='MODEL\?pooling'\)"
    ):
        solve(blind, SCORED)
    other = HeadVerifier(replace(SMALL_HEAD, weights="of another model"), Config())
    engine = ScriptedEngine(says(TWO_STEPS))
    with pytest.raises(CapabilityError, match="trained on the states of another model"):
        solve(engine, SCORED, verifiers={"head": other})
    assert not blind.requests and not engine.requests


@pytest.mark.parametrize(
    ("states", "fault"),
    [
        (States((1,), (0,), np.array([np.nan], np.float16).tobytes()), "not finite"),
        (States((2,), (0,), np.array([1], np.float16).tobytes()), "lack layer 1"),
        (States((1,), (0,), np.array([1, 2], np.float16).tobytes()), "3 features"),
    ],
)
def test_states_that_a_head_cannot_read(states: States, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        SMALL_HEAD.values(states)


def test_a_failing_state_is_a_score_with_an_error() -> None:
    engine = ScriptedEngine(says(TWO_STEPS), state_of=lambda text: (float("nan"),))
    result = solve(engine, SCORED)
    assert [t.scores["head"].error for t in result.trajectories] == [
        "the states are not finite"
    ] * 2


def test_a_tree_search_gets_its_values_with_the_steps() -> None:
    engine = ScriptedEngine(digits())
    policy: SearchPolicy = Rebase(width=4)
    result = search(engine, policy, verifier=open_verifier("head"))
    assert result.answer is None or result.trajectories
    assert result.usage.scored_tokens == 0
    finished = [t for t in result.trajectories if t.finish_reason == "stop"]
    assert finished
    for trajectory in finished:
        assert len(trajectory.scores["prm"].steps) == len(trajectory.steps)


def test_a_resumed_run_finds_the_states_in_its_log(tmp_path: Path) -> None:
    engine = ScriptedEngine(says(TWO_STEPS), state_of=state_of)

    def run() -> Result:
        with LogFile(tmp_path / "generations.jsonl") as log:
            return solve(engine, SCORED, log=log)

    before, after = run(), run()
    assert len(engine.requests) == 1
    assert values(before) == values(after)


@pytest.mark.parametrize("layers", [None, (2,)])
def test_what_was_recorded_without_its_states_is_read_again(
    tmp_path: Path, layers: tuple[int, ...] | None
) -> None:
    engine = ScriptedEngine(says(TWO_STEPS), state_of=state_of)
    other = HeadVerifier(replace(SMALL_HEAD, spec=StateSpec(layers or (1,))), Config())
    with LogFile(tmp_path / "generations.jsonl") as log:
        pipeline = SCORED if layers else sample(n=2) >> vote()
        solve(engine, pipeline, verifiers={"head": other}, log=log)
    with LogFile(tmp_path / "generations.jsonl") as log:
        result = solve(engine, SCORED, log=log)
    assert len(engine.requests) == 1
    assert values(result) == [(0.5, 0.5)] * 2
    assert result.usage.scored_tokens


def test_hopeless_solutions_are_given_up() -> None:
    texts = ("good\n\nand\n\n\\boxed{12}", "bad\n\nand\n\n\\boxed{13}")

    def say(ask: Ask) -> Line:
        so_far = ask.prompt.rpartition("<assistant>")[2]
        text = texts[("bad" in so_far) if so_far else ask.seed % 2]
        return Line(text[len(so_far) :])

    engine = ScriptedEngine(say, state_of=state_of)
    result = solve(engine, abandon(n=8, loss=0.01) >> vote(weights="head"))
    good = len(result.samples)
    assert 0 < good < 8 and {t.finish_reason for t in result.samples} == {"stop"}
    assert len(engine.requests) == 3 * good + 2 * (8 - good)  # the bad ones' third step is saved
    assert result.answer is not None and result.answer.text == "12"
    kept = solve(engine, abandon(n=8, bar=0.0) >> vote(weights="head"))
    assert len(kept.samples) == 8


def test_a_verifier_without_a_bar_is_asked_for_one() -> None:
    engine = ScriptedEngine(says(TWO_STEPS))
    result = solve(engine, abandon(n=2, loss=0.001) >> vote(weights="head"))
    assert not engine.requests
    assert "give one with bar=" in result.reason + str(result.facts)


def test_a_head_in_its_file(tmp_path: Path) -> None:
    SMALL_HEAD.save(tmp_path / "head")
    read = load_head(tmp_path / "head")
    assert (read.weights, read.model, read.spec) == ("", "scripted", StateSpec((1,)))
    assert read.bars == ((0.01, 0.3),)
    states = States((1,), (3,), np.array([7], np.float16).tobytes())
    assert read.values(states) == SMALL_HEAD.values(states)


def test_files_that_are_no_heads(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no head at .*tts train-verifier"):
        load_head(tmp_path / "none")
    (tmp_path / "head.safetensors").write_bytes(b"what")
    with pytest.raises(InputError, match="not a head"):
        load_head(tmp_path)
    arrays = {**SMALL_HEAD.arrays, "out_bias": np.array([np.inf], np.float32)}
    replace(SMALL_HEAD, arrays=arrays).save(tmp_path)
    with pytest.raises(InputError, match="out_bias is not finite"):
        load_head(tmp_path)
    arrays = {name: a for name, a in SMALL_HEAD.arrays.items() if name != "mean"}
    replace(SMALL_HEAD, arrays=arrays).save(tmp_path)
    with pytest.raises(InputError, match="not a head: it holds"):
        load_head(tmp_path)


def test_the_command_line_names_the_file(tmp_path: Path) -> None:
    SMALL_HEAD.save(tmp_path)
    found = find_verifiers(["head"], {"head": str(tmp_path)})
    assert not found.models  # no engine serves it
    verifier: Verifier = found.built["head"]
    assert verifier.spec.states == SMALL_HEAD.spec
    with pytest.raises(InputError, match="no head at"):
        find_verifiers(["head"], {"head": str(tmp_path / "none")})
