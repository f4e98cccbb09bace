"""Drafts and a target that takes over: who writes what, by hand-made likelihoods."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.results import noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import SAMPLING, solve
from tts.allocation.conformal import PERPLEXITY, Conformal
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import CapabilityError, ParameterError
from tts.protocols import Capabilities
from tts.strategies import atts
from tts.types import Budget, ModelInfo, Result, Sampling

SURE, UNSURE, BAD = "fine. ", "hmmm. ", "ouch. "
PERPLEXITIES = {SURE: 1.2, UNSURE: 2.0, BAD: 9.0}
# p of 1.2 is (1 + 4) / 5 = 1, of 2.0 (1 + 2) / 5 = 0.6, of 9.0 (1 + 0) / 5 = 0.2.
KNOWN = Conformal(((1.5, 1.8, 2.5, 3.0),), draft="small", target="big", mean_turns=2.0)


def engine(name: str, *chunks: str) -> ScriptedEngine:
    """Writes chunk after chunk, by how many there are; its likelihoods are those of the table.

    What it says is longer than a chunk, so that no chunk ends it.
    """

    def line(ask: Ask) -> Line:
        so_far = ask.prompt.rpartition("<assistant>")[2]
        place = sum(so_far.count(end) for end in (". ", "! "))
        chunk = chunks[place] if place < len(chunks) else ""
        return Line(chunk and f"{chunk}and on")

    return ScriptedEngine(
        line,
        info=ModelInfo(name=name, fingerprint=name, parameters=1_000, context_tokens=10_000),
        logprobs_of=lambda before, text: (-math.log(PERPLEXITIES.get(text, 1.0)),) * len(text),
    )


def work(
    tmp_path: Path,
    drafts: ScriptedEngine,
    target: ScriptedEngine,
    sampling: Sampling = SAMPLING,
    **values: object,
) -> Result:
    path = tmp_path / "scores.json"
    KNOWN.save(path)
    pipeline = atts(
        **{"draft": "draft", "calibration": str(path), "n": 1, "chunk_tokens": 6, **values}
    )
    return solve(target, pipeline, engines={"draft": drafts}, sampling=sampling)


def test_the_target_takes_over_what_it_finds_unlikely(tmp_path: Path) -> None:
    drafts = engine("small", SURE, BAD, "", UNSURE, boxed(12)[:6])
    target = engine("big", "", "", "well! ")
    result = work(tmp_path, drafts, target, turns=4)
    assert [(v["turn"], v["p_value"], v["is_rejected"]) for v in noted(result, "verify")] == [
        (0, 1.0, False),
        (1, 0.2, True),
        (2, 0.6, False),
        (3, 1.0, False),
    ]
    # The rejected chunk stays, and the target writes after it.
    (made,) = (t for t in result.samples)
    assert made.text == f"{SURE}{BAD}well! {UNSURE}so it "
    assert [p.rpartition("<assistant>")[2] for p in prompts_of(target)] == [f"{SURE}{BAD}"]
    assert made.scores[PERPLEXITY].steps == pytest.approx((1.2, 9.0, 2.0, 1.0))
    # Read by the target: what was before each chunk and the chunk, prompt included.
    head = len(prompts_of(target)[0]) - len(f"{SURE}{BAD}")
    assert result.usage.scored_tokens == 4 * head + 6 + 12 + 24 + 30


@pytest.mark.parametrize(
    ("on_reject", "limit", "text"),
    [
        ("append", 15, f"{SURE}{BAD}wel"),  # the last one is cut at what is left
        ("append", 12, f"{SURE}{BAD}"),
        ("replace", 12, f"{SURE}well! "),
        ("replace", 14, f"{SURE}well! hm"),
    ],
)
def test_an_attempt_ends_at_its_limit_whoever_writes(
    tmp_path: Path, on_reject: str, limit: int, text: str
) -> None:
    drafts, target = engine("small", SURE, BAD, UNSURE), engine("big", "", "well! ", "well! ")
    sampling = Sampling(max_tokens=limit)
    result = work(tmp_path, drafts, target, on_reject=on_reject, sampling=sampling)
    assert [t.text for t in result.samples] == [text]
    sizes = [request.sampling.max_tokens for request in (*drafts.requests, *target.requests)]
    assert max(sizes) <= 6 and all(size > 0 for size in sizes)


def test_a_rejected_chunk_may_be_replaced(tmp_path: Path) -> None:
    drafts, target = engine("small", SURE, BAD, SURE), engine("big", "", "well! ")
    result = work(tmp_path, drafts, target, turns=3, on_reject="replace")
    assert result.samples[0].text == f"{SURE}well! {SURE}"


@pytest.mark.parametrize(("alpha", "rejected"), [(0.0, 0), (0.2, 1), (0.5, 1), (0.6, 2), (1.0, 3)])
def test_alpha_0_is_the_draft_alone_and_1_the_target_each_time(
    tmp_path: Path, alpha: float, rejected: int
) -> None:
    drafts, target = engine("small", SURE, UNSURE, BAD), engine("big", *["well! "] * 3)
    result = work(tmp_path, drafts, target, turns=3, alpha=alpha, on_reject="replace")
    assert len(target.requests) == rejected
    assert sum(v["is_rejected"] for v in noted(result, "verify")) == rejected


def test_a_budget_of_takeovers_is_an_alpha(tmp_path: Path) -> None:
    # 0.4 of one attempt's two turns are an alpha of 0.2: 9.0 is just rejected, and 2.0 is not.
    drafts, target = engine("small", UNSURE, BAD), engine("big", "", "well! ")
    result = work(tmp_path, drafts, target, turns=2, takeovers=0.4)
    assert [v["is_rejected"] for v in noted(result, "verify")] == [False, True]


def test_a_chunk_without_a_likelihood_is_rejected(tmp_path: Path) -> None:
    drafts, target = engine("small", SURE), engine("big", "well! ")
    target.logprobs_of = lambda before, text: (-math.inf,) * len(text)
    result = work(tmp_path, drafts, target, turns=1)
    (verdict,) = noted(result, "verify")
    assert (verdict["perplexity"], verdict["is_rejected"]) == (None, True)
    assert len(target.requests) == 1


def test_attempts_end_with_their_answer_and_vote(tmp_path: Path) -> None:
    def line(ask: Ask) -> Line:
        return Line(boxed(12 if ask.seed % 3 else 13))

    result = work(tmp_path, ScriptedEngine(line), engine("big"), n=8, chunk_tokens=99)
    assert result.answer is not None and result.answer.support.voters == 8
    assert len(noted(result, "verify")) == 8, "one turn each"
    assert "the calibration is of drafts by small, and these are by scripted" in result.reason


def test_chunks_that_are_drawn_otherwise_than_those_of_the_calibration_are_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "scores.json"
    replace(KNOWN, drawn={"temperature": 0.25, "chunk_tokens": 6}).save(path)
    pipeline = atts(draft="draft", calibration=str(path), n=1, chunk_tokens=6)
    engines = {"draft": engine("small", SURE)}
    result = solve(engine("big"), pipeline, engines=engines, sampling=SAMPLING)
    assert "the calibration is of chunks drawn with temperature 0.25: of others" in result.reason


def test_without_a_calibration_every_chunk_is_accepted_and_that_is_said() -> None:
    result = solve(ScriptedEngine(lambda ask: Line(boxed(12))), "atts", overrides=["n=2"])
    assert result.answer is not None and "every chunk of a draft is accepted" in result.reason
    assert result.samples[0].scores[PERPLEXITY].steps == pytest.approx((math.exp(0.5),))


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="takeovers needs a calibration"):
        atts(takeovers=3)
    with pytest.raises(ParameterError, match=r"none\.json: not found; write it with"):
        atts(calibration=str(tmp_path / "none.json"))
    blind = ScriptedEngine(lambda ask: Line(""), capabilities=Capabilities())
    with pytest.raises(CapabilityError, match="needs likelihoods of given texts"):
        solve(blind, atts())
    with pytest.raises(CapabilityError, match="calibrated for big, this is scripted"):
        work(tmp_path, engine("small", SURE), ScriptedEngine(lambda ask: Line("")))


@pytest.mark.parametrize("tokens", [5, 20, 60])
def test_it_keeps_to_its_budget(tmp_path: Path, tokens: int) -> None:
    path = tmp_path / "scores.json"
    KNOWN.save(path)
    target = engine("big", *[BAD] * 30)
    result = solve(target, atts(calibration=str(path), n=3), budget=Budget(tokens=tokens))
    assert (result.usage.generated_tokens or 0) <= tokens
    assert result.answer is None and result.reason
