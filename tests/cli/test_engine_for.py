"""Further engines from the command line: a draft, a mixture, a judge, recorded models."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.allocation.policy_file import load_policy
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec

Tts = Callable[..., Outcome]
Made = dict[str, ScriptedEngine]
CASCADE = ("eval", "file", "--preset", "cascade", "--set", "draft=draft", "--set", "n=4")


def _own(ask: Ask) -> Line:
    """The run's own model says 7, and likes what is 9."""
    if "Attempt" in ask.prompt or "Verdict" in ask.prompt:
        return Line(f"Verdict: {'correct' if '{9}' in ask.prompt else 'incorrect'}")
    return Line(r"\boxed{7}")


def _torn(ask: Ask) -> Line:
    """The draft is sure of the first problem only."""
    is_first = "What is 0" in ask.prompt
    return Line(rf"\boxed{{{2 if is_first else ask.index}}}")


@pytest.fixture
def made(tts: Tts, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Let the command line make an engine of a script for each model; return those it made."""
    made: Made = {}

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        assert spec.model not in made
        made[spec.model] = ScriptedEngine(_own if spec.model == "bundled:reasoner" else _torn)
        return made[spec.model]

    monkeypatch.setattr(running, "make_engine", make_engine)
    return made


def asked(engine: ScriptedEngine) -> int:
    return sum(request.n for request in engine.requests)


def test_a_draft_answers_what_it_is_sure_of(tts: Tts, data: str, made: Made) -> None:
    command = (*CASCADE, "--data", data, "--engine-for", "draft=bundled:draft")
    outcome = tts(*command)
    assert outcome.code == 0, outcome.err
    # Five problems of four cheap samples each; the four torn ones ask the run's own for 16.
    assert (asked(made["bundled:draft"]), asked(made["bundled:reasoner"])) == (20, 64)
    assert "--engine-for draft=bundled:draft" in outcome.out.splitlines()[-1]
    (run,) = Path("runs").glob("*/run.json")
    config = json.loads(run.read_text())["config"]
    assert (config["engines"], config["samplers"]) == ({"draft": "scripted"}, ["draft"])
    made.clear()
    again = tts(*command, "--json").json["runs"]
    assert (made, again[0]["accuracy"]) == ({}, 0.2)  # a finished run starts no engine


def test_a_name_may_say_itself_which_engine_it_is(tts: Tts, made: Made) -> None:
    outcome = tts(
        *("solve", "What is 0 plus 2?", "--preset", "mixture", "--set", "n=6"),
        *("--set", "engines=[bundled:draft, bundled:draft, '']"),
    )
    assert (outcome.code, outcome.out) == (0, "2\n"), outcome.err
    assert outcome.err.startswith("4 of 6 votes")
    assert (asked(made["bundled:draft"]), asked(made["bundled:reasoner"])) == (4, 2)


def test_a_judge_has_its_own_engine(tts: Tts, made: Made, tmp_path: Path) -> None:
    preset = tmp_path / "judged.yaml"
    preset.write_text(
        "pipeline:\n"
        "  draft: {operator: sample, n: 2}\n"
        "  mark: {operator: score, from: draft, verifier: 'judge(k=1, engine=big)'}\n"
        "  answer: {operator: select, from: mark, by: 'judge(k=1, engine=big)'}\n"
    )
    words = ("solve", "What is 0 plus 2?", "--preset", str(preset))
    outcome = tts(*words, "--engine-for", "big=me/big@http://localhost:1/v1")
    assert asked(made["bundled:reasoner"]) == 2 and asked(made["me/big"]) == 2, outcome.err


def test_an_engine_like_the_runs_own_is_not_loaded_twice(tts: Tts, made: Made) -> None:
    words = ("solve", "What is 0 plus 2?", "--preset", "cascade", "--set", "draft=draft")
    outcome = tts(*words, "--engine-for", "draft=bundled:reasoner")
    assert (outcome.code, outcome.out) == (0, "7\n"), outcome.err
    assert list(made) == ["bundled:reasoner"]


def test_a_run_on_one_engine_records_no_others(tts: Tts, data: str, made: Made) -> None:
    tts("eval", "file", "--data", data, "--preset", "single")
    (run,) = Path("runs").glob("*/run.json")
    assert "engines" not in json.loads(run.read_text())["config"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "needs the engine 'draft'; this run has no other; say what it is with --engine-for"),
        (("draft",), "--engine-for draft: write NAME=SPEC, such as draft=bundled:draft"),
        (("=x",), "--engine-for =x: write NAME=SPEC"),
        (("draft=http://x",), "write MODEL, MODEL@URL or replay:FILE"),
        (("draft=a", "draft=b"), "--engine-for draft=b: 'draft' is a already"),
        (("drft=bundled:draft",), "needs the engine 'draft'; this run has drft; say what it is"),
        (("draft=replay:nowhere.jsonl",), "cannot read the pool nowhere.jsonl"),
    ],
)
def test_bad_input_is_one_message(
    tts: Tts, data: str, made: Made, given: tuple[str, ...], message: str
) -> None:
    flags = [word for line in given for word in ("--engine-for", line)]
    outcome = tts(*CASCADE, "--data", data, *flags)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_policy_is_fitted_to_the_runs_own_samples(tts: Tts, data: str, made: Made) -> None:
    Path("drafted.yaml").write_text("extends: cascade\nparameters: {draft: draft}\n")
    words = ("calibrate", "file", "--data", data, "--split", "test")
    outcome = tts(
        *(*words, "--preset", "self_consistency", "--preset", "drafted.yaml"),
        *("--engine-for", "draft=bundled:draft", "--set", "n=4"),
    )
    assert outcome.code == 0, outcome.err
    policy = load_policy(Path("policy.yaml"))
    # The run's own model always agrees with itself, the draft seldom; its samples teach nothing.
    assert {point.accuracy for point in policy.prices} == {0.0}
    assert "every sample is right, or every one wrong" in policy.notes[0]


def _pool(path: Path, problem: str, **answers: str) -> None:
    rows = [
        {
            "problem_id": problem,
            "model": model,
            "gold": "1",
            "samples": [{"answer": answer, "correct": answer == "1"} for answer in said],
        }
        for model, said in answers.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_recorded_models_vote_together(
    tts: Tts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real make_engine
    monkeypatch.chdir(tmp_path)
    _pool(tmp_path / "pool.jsonl", "p", one="122", other="111")
    words = ("eval", "pool", "--model", "replay:pool.jsonl#one", "--json")
    alone = tts(*words, "--preset", "mixture", "--set", "n=3").json["runs"][0]
    mixed = ("--preset", "mixture", "--set", "n=6", "--set", "engines=['', other]")
    both = tts(*words, *mixed, "--engine-for", "other=replay:pool.jsonl#other").json["runs"][0]
    # 1, 2, 2 alone; with 1, 1, 1 of the other there are four votes for 1.
    assert (alone["accuracy"], both["accuracy"]) == (0.0, 1.0)
    _pool(tmp_path / "strange.jsonl", "q", other="111")
    refused = tts(*words, *mixed, "--engine-for", "other=replay:strange.jsonl")
    assert refused.code == 2
    assert "other is recorded and has no samples of 1 of 1 problems, such as 'p'" in refused.err
