"""`tts eval`: the table, the JSON contract, resume, and everything that can be typed wrongly."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Outcome, add_up
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine, lines
from tts.engine.spec import EngineSpec
from tts.errors import EngineError

Tts = Callable[..., Outcome]
# The public contract: names and types of one element of `runs`.
RUN_SCHEMA: dict[str, type] = {
    "schema": int,
    "benchmark": str,
    "preset": str,
    "model": str,
    "engine": str,
    "engines": list,
    "seed": int,
    "repeats": int,
    "planned": int,
    "done": int,
    "problems": int,
    "answered": int,
    "samples": int,
    "accuracy": float,
    "interval": list,
    "pass_at_k": dict,
    "maj_at_k": dict,
    "cost": dict,
    "tokens": dict,
    "kv_bytes": dict,
    "seconds": float,
    "out": str,
    "short": int,
    "unanswered": list,
}


def test_json_is_the_public_contract(tts: Tts, data: str) -> None:
    outcome = tts("eval", "file", "--data", data, "--preset", "single", "--json")
    assert outcome.code == 0
    assert set(outcome.json) == {"schema", "runs"} and outcome.json["schema"] == 2
    (run,) = outcome.json["runs"]
    assert set(run) == set(RUN_SCHEMA)
    assert all(isinstance(run[name], kind) for name, kind in RUN_SCHEMA.items())
    assert set(run["tokens"]) == {
        "prompt",
        "scored",
        "cached",
        "generated",
        "wasted",
        "reused",
        "lost",
    }
    low, high = run["interval"]
    assert 0 <= low <= run["accuracy"] <= high <= 1
    assert set(run["pass_at_k"]) == {"1"}
    assert (run["benchmark"], run["preset"], run["problems"]) == ("file", "single", 5)


def test_run_folder_holds_what_was_promised(tts: Tts, data: str) -> None:
    run = tts("eval", "file", "--data", data, "--preset", "single", "--json").json["runs"][0]
    folder = Path(run["out"])
    assert folder.parent == Path("runs")
    assert json.loads((folder / "summary.json").read_text()) == run
    head = json.loads((folder / "run.json").read_text())
    assert {"schema", "config", "environment", "sessions"} <= set(head)
    assert {"cpu", "cores", "memory_bytes", "commit"} <= set(head["environment"])
    rows = [json.loads(line) for line in (folder / "problems.jsonl").read_text().splitlines()]
    assert {row["problem"] for row in rows} == {f"s{i}" for i in range(5)}
    assert {"problem", "repeat", "answer", "correct", "usage", "seconds", "error"} <= set(rows[0])
    drawn = [json.loads(line) for line in (folder / "generations.jsonl").read_text().splitlines()]
    places = ("problem", "repeat", "node", "seed")
    texts = {
        tuple(row[name] for name in places): row["text"]
        for row in drawn
        if row["kind"] == "completion"
    }
    for row in rows:  # every sample finds its text, and every problem its statement
        for sample in row["samples"]:
            text = texts[row["problem"], row["repeat"], sample["node"], sample["seed"]]
            assert (sample["answer"] or "") in text
    stated = [json.loads(line) for line in (folder / "statements.jsonl").read_text().splitlines()]
    assert {row["problem"] for row in stated} == {row["problem"] for row in rows}
    assert all("What is" in row["statement"] and row["reference"] for row in stated)
    events = [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]
    assert {"start", "request", "completion", "end"} <= {event["kind"] for event in events}


def test_two_presets_end_with_a_table_and_a_plot(tts: Tts, data: str) -> None:
    outcome = tts(
        *("eval", "file", "--data", data, "--preset", "single"),
        *("--preset", "self_consistency", "--set", "sampling.top_p=0.9"),
    )
    assert outcome.code == 0
    table, _, rest = outcome.out.partition("\n\n")
    assert table.splitlines()[0].split()[:3] == ["benchmark", "preset", "accuracy"]
    assert [line.split()[1] for line in table.splitlines()[1:]] == ["single", "self_consistency"]
    assert max(map(len, table.splitlines())) <= 80
    (plot,) = [line.split()[1] for line in rest.splitlines() if line.startswith("plot")]
    assert Path(plot).read_bytes().startswith(b"\x89PNG")
    assert "seed  0, scripted on vllm" in rest
    again = rest.splitlines()[-1].removeprefix("again ").split()
    assert again[:3] == ["tts", "eval", "file"]
    assert tts(*again[1:]).out.splitlines()[-1].split() == ["again", *again]


def test_same_command_resumes(tts: Tts, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("eval", "file", "--data", data, "--preset", "single", "--json")

    async def make_dead(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(lines(r"\boxed{2}"), die_at=1)

    with monkeypatch.context() as patch:
        patch.setattr(running, "make_engine", make_dead)
        dead = tts(*arguments)
    assert (dead.code, dead.out) == (1, "")
    assert "error: the engine died" in dead.err
    first = tts(*arguments)
    second = tts(*arguments)
    assert first.json["runs"][0]["out"] == second.json["runs"][0]["out"]
    assert len(list(Path("runs").iterdir())) == 1


def test_reuse_of_another_run(tts: Tts, data: str) -> None:
    common = ("eval", "file", "--data", data, "--json", "--preset", "self_consistency")
    first = tts(*common).json["runs"][0]
    again = tts(*common, "--set", "order=index", "--reuse", first["out"]).json["runs"][0]
    assert again["out"] != first["out"]
    assert again["tokens"]["reused"] == first["tokens"]["generated"]


def test_several_benchmarks_at_once(tts: Tts) -> None:
    outcome = tts("eval", "chain", "countdown", "--preset", "single", "--limit", "2", "--json")
    assert [run["benchmark"] for run in outcome.json["runs"]] == ["chain", "countdown"]


def test_nothing_solved_is_no_success(tts: Tts, data: str) -> None:
    rows = [{"id": "long", "problem": "What is 1 plus 1? " + "x" * 20_000, "answer": "2"}]
    Path(data).write_text(json.dumps(rows[0]) + "\n")
    outcome = tts("eval", "file", "--data", data, "--preset", "single")
    assert outcome.code == 2
    assert "the context is 10000" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chian",), "unknown benchmark 'chian'; did you mean 'chain'?"),
        (("chain", "--preset", "sngle"), "unknown preset 'sngle'; did you mean 'single'?"),
        (("chain", "--preset", "missing.yaml"), "missing.yaml: there is no such file"),
        (("chain", "--set", "m=3"), "--set m=3: strategy 'self_consistency' has no 'm'"),
        (("chain", "--set", "n"), "write KEY=VALUE"),
        (("chain", "--budget", "8 apples"), "cannot read '8 apples' in budget"),
        (("chain", "--budget", "8"), "too small for one sample"),
        (("chain", "--run-budget", "0"), "must be positive"),
        (
            ("chain", "--run-budget", "15"),
            "enough for 0 of 1 problems",
        ),
        (("chain", "--split", "exam"), "exam"),
        (("file",), "the benchmark file needs a file"),
        (("file", "--data", "nowhere.jsonl"), "nowhere.jsonl"),
        (("chain", "countdown", "--data", "x.jsonl"), "data belong to one benchmark"),
        (("chain", "--reuse", "nowhere"), "nowhere: no run here"),
        (("chain", "--model", "http://localhost"), "write MODEL, MODEL@URL or replay:FILE"),
        (("chain", "--model", "m@localhost:8000"), "address begins with http:// or https://"),
        (("chain", "--model", "m?sparse=1"), "only ?pooling may follow a model"),
        (("chain", "--engine-arg", "dtype"), "write KEY=VALUE"),
        (("chain", "--engine-arg", "dtpye=auto"), "no engine option 'dtpye' of vLLM; did you mean"),
        (("chain", "--engine-arg", "max_num_seqs=0"), "max_num_seqs = 0: input should be greater"),
        (("chain", "--engine-arg", "draft.seed=1"), "nothing asks an engine of that name"),
        (("chain", "--engine-for", "draft=m"), "engine 'draft': nothing asks an engine of that"),
        (("chain", "--verifier", "prm"), "write NAME=MODEL"),
        (("chain", "--verifier", "pmr=x"), "unknown verifier 'pmr'; did you mean 'prm'?"),
    ],
)
def test_bad_input_is_one_message(tts: Tts, arguments: tuple[str, ...], message: str) -> None:
    outcome = tts("eval", *arguments, "--limit", "1")
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a"', "bad.jsonl:2: not JSON"),
        ('{"id": "a", "problem": "What is 1 plus 1?"}', "bad.jsonl:2: no 'answer'"),
        ("[1]", "bad.jsonl:2: a list instead of an object"),
    ],
)
def test_bad_line_is_named(tts: Tts, line: str, message: str) -> None:
    good = '{"id": "0", "problem": "What is 1 plus 1?", "answer": "2"}'
    Path("bad.jsonl").write_text(f"{good}\n{line}\n")
    outcome = tts("eval", "file", "--data", "bad.jsonl")
    assert outcome.code == 2
    assert message in outcome.err


def test_malformed_preset_is_named_with_its_line(tts: Tts) -> None:
    Path("mine.yaml").write_text("strategy: single\nparameters: {n: 3}\n")
    outcome = tts("eval", "chain", "--preset", "mine.yaml")
    assert outcome.code == 2
    assert "mine.yaml:2: strategy 'single' has no 'n'" in outcome.err


def test_output_folder_that_is_a_file(tts: Tts, data: str) -> None:
    Path("runs").write_text("")
    outcome = tts("eval", "file", "--data", data)
    assert outcome.code == 2
    assert "cannot be written" in outcome.err


def test_engine_that_cannot_start(tts: Tts, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def make_engine(spec: EngineSpec) -> Any:
        raise EngineError("not enough memory; lower max_model_len")

    monkeypatch.setattr(running, "make_engine", make_engine)
    outcome = tts("eval", "file", "--data", data)
    assert (outcome.code, outcome.err) == (1, "error: not enough memory; lower max_model_len\n")


def test_ctrl_c_says_how_to_go_on(tts: Tts, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def make_engine(spec: EngineSpec) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "make_engine", make_engine)
    outcome = tts("eval", "file", "--data", data, "--limit", "3")
    assert outcome.code == 130
    assert f"tts eval file --data {data} --limit 3 --seed 0" in outcome.err.replace(
        "--preset self_consistency ", ""
    )


def test_a_run_names_the_model_of_its_verifiers(tts: Tts, data: str) -> None:
    words = ("eval", "file", "--data", data, "--preset", "best_of_n", "--set", "n=2", "--json")
    (run,) = tts(*words).json["runs"]
    config = json.loads((Path(run["out"]) / "run.json").read_text())["config"]
    assert config["verifiers"] == {"prm": {"model": "scripted", "fingerprint": "scripted"}}


@pytest.mark.parametrize("preset", ["best_of_n", "weighted_vote", "beam_search"])
def test_the_bundled_reward_model_scores_no_other_models_samples_by_default(
    tts: Tts, data: str, preset: str
) -> None:
    words = ("eval", "file", "--data", data, "--preset", preset, "--model", "Qwen/Qwen3-8B")
    refused = tts(*words)
    assert refused.code == 2 and not Path("runs").exists()
    assert "would score samples of Qwen/Qwen3-8B by bundled:prm" in refused.err
    assert "--verifier prm=MODEL" in refused.err and refused.err.count("\n") == 1
    assert tts(*words, "--verifier", "prm=bundled:prm").code == 0


def test_columns_of_a_csv_are_mapped_and_said_again(tts: Tts) -> None:
    Path("mine.csv").write_text("question,target\nWhat is 1 plus 2?,3\nWhat is 2 plus 2?,4\n")
    words = ("eval", "file", "--data", "mine.csv", "--map", "question=problem")
    outcome = tts(*words, "--map", "target=answer", "--preset", "single")
    assert outcome.code == 0
    again = outcome.out.splitlines()[-1]
    assert "--data mine.csv --map question=problem --map target=answer" in again
    refused = tts(*words)
    assert refused.code == 2
    assert "mine.csv:2: no 'answer'" in refused.err and "--map COLUMN=answer" in refused.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--map", "question"), "--map question: write COLUMN=NAME, such as question=problem"),
        (("--map", "a=problem", "--map", "a=id"), "--map a=id: 'a' is problem already"),
        (("--map", "a=problem", "--map", "b=problem"), "two columns the name 'problem'"),
    ],
)
def test_a_map_that_cannot_be_read(
    tts: Tts, data: str, words: tuple[str, ...], message: str
) -> None:
    outcome = tts("eval", "file", "--data", data, *words)
    assert outcome.code == 2
    assert message in outcome.err


def test_an_outage_ends_with_a_code_of_its_own(
    tts: Tts, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    left = [3]

    def say(ask: Ask) -> Line:
        left[0] -= 1
        return add_up(ask) if left[0] >= 0 else Line("", error="503", is_unanswered=True)

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(say)

    monkeypatch.setattr(running, "make_engine", make_engine)
    command = ("eval", "file", "--data", data, "--preset", "single")
    cut = tts(*command)
    assert cut.code == 3
    assert "2 problems lack samples that the server did not give: s3, s4" in " ".join(
        cut.out.split()
    )
    left[0] = 0
    assert tts(*command).code == 3
    left[0] = 100
    assert tts(*command).code == 0
