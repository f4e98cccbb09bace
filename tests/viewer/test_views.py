"""What a page or a terminal is told of a run, and of one problem."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.support.commands import Outcome, write_sums
from tests.viewer.conftest import HOSTILE, evaluate
from tts.cli.main import run as tts
from tts.engine.scripted import Ask, Line
from tts.errors import InputError, StoreError
from tts.storage.sealed_lines import decode_line, encode_line
from tts.viewer.outcome import answers_of, chosen_by, is_weighted, why
from tts.viewer.page import build_page
from tts.viewer.parameters import parameters_of_nodes
from tts.viewer.problem import problem_view
from tts.viewer.prompts import prompts_of, said
from tts.viewer.runs import Library, OpenRun, named_run
from tts.viewer.server import make_app


def opened(folder: Path) -> OpenRun:
    run = named_run(folder)
    return run


def test_runs_are_found_below_a_folder_with_their_figures(runs: Path) -> None:
    rows = [run.row() for run in Library([runs]).runs().values()]
    assert sorted((row["preset"], row["done"], row["fault"]) for row in rows) == [
        ("rebase", 1, ""),
        ("self_consistency", 5, ""),
        ("single", 5, ""),
    ]


def test_a_folder_that_cannot_be_read_says_why_beside_the_others(
    runs: Path, voted: Path, tmp_path: Path
) -> None:
    shutil.copytree(voted, tmp_path / "good")
    shutil.copytree(voted, tmp_path / "old")
    head = json.loads((tmp_path / "old" / "run.json").read_text())
    (tmp_path / "old" / "run.json").write_text(json.dumps({**head, "schema": 1}))
    (tmp_path / "old" / "summary.json").unlink()
    rows = {name: run.row() for name, run in Library([tmp_path]).runs().items()}
    assert "does not read" in rows["old"]["fault"] and rows["old"]["preset"] == "self_consistency"
    assert rows["good"]["fault"] == ""


def test_a_list_of_problems_says_what_agreed_and_what_was_right(voted: Path) -> None:
    row = next(opened(voted).problems())
    assert (row["id"], row["correct"], row["answer"], row["reference"]) == ("s0", False, "3", "2")
    assert (row["agree"], row["answered"], row["right"], row["samples"]) == (3, 4, 1, 4)


def test_a_problem_says_why_a_vote_went_wrong(voted: Path) -> None:
    view = problem_view(opened(voted), "s0", 0)
    assert view["statement"] == "What is 0 plus 2?"
    assert [(a["answer"], a["count"], a["correct"], a["chosen"]) for a in view["answers"]] == [
        ("3", 3, False, True),
        ("2", 1, True, False),
    ]
    assert view["why"] == [
        "Chosen with 3 of 4 samples.",
        "A right answer had 1 of 4 samples: it was there and lost.",
    ]
    first = view["attempts"][0]
    assert first["thought"] == "<think>hm, <b>bold</b></think>"
    assert first["thought"] + first["text"] == HOSTILE % 2


def test_a_tie_says_what_decided_it() -> None:
    def one(answer: str | None, count: int, *, chosen: bool = False) -> dict[str, Any]:
        correct = answer == "7"
        return {"answer": answer, "count": count, "correct": correct, "chosen": chosen} | {
            "weight": None,
            "score": None,
        }

    record = {"answer": "3", "correct": False, "error": "", "facts": {"aborted": 0}}
    view = {"record": record, "stops": [], "events": [], "votes": [{}], "attempts": [{}] * 8}
    several = [one("3", 2, chosen=True), one("7", 2), one("9", 2), one(None, 2)]
    first, second = why({**view, "answers": several})
    assert first == (
        "Chosen with 2 of 8 samples, a tie with 2 other answers: of equals, the one whose first "
        "sample was drawn first."
    )
    assert second == "A right answer had 2 of 8 samples: it was there and lost."


def test_a_problem_holds_its_calls_and_what_each_node_passed_on(voted: Path) -> None:
    view = problem_view(opened(voted), "s0", 0)
    assert [call["state"] for call in view["calls"]] == ["finished"] * 4
    assert all(call["came"] >= call["asked"] >= 0 for call in view["calls"])
    assert view["pipeline"]["vote"]["from"] == "sample"
    assert view["nodes"]["sample"]["sent"] == 4 and view["nodes"]["vote"]["read"] == [4]


def test_a_prompt_is_kept_as_it_was_sent(voted: Path) -> None:
    (prompt,) = prompts_of(opened(voted), "s0", 0)
    assert prompt["node"] == "sample" and "What is 0 plus 2?" in said(prompt)
    assert [turn["role"] for turn in prompt["messages"]] == ["user"]


def test_what_is_written_to_a_prompt_is_an_attempt_or_has_its_text(
    voted: Path, searched: Path
) -> None:
    (prompt,) = prompts_of(opened(voted), "s0", 0)
    assert sorted(one["attempt"] for one in prompt["written"]) == [0, 1, 2, 3]
    assert not any("text" in one for one in prompt["written"])
    run = opened(searched)
    problem = next(iter(run.statements))
    (search,) = problem_view(run, problem, 0)["searches"]
    written = [one for each in prompts_of(run, problem, 0) for one in each["written"]]
    said = sorted(one["text"].strip() for one in written)
    assert said == sorted(node["text"].strip() for node in search["nodes"][1:])


def test_a_choice_by_score_is_shown_by_score() -> None:
    def one(answer: str, score: float | None, *, correct: bool) -> dict[str, Any]:
        scores = {} if score is None else {"prm": score}
        return {"answer": answer, "answer_class": answer, "correct": correct, "scores": scores}

    attempts = [
        one("7", 0.25, correct=True),
        one("3", None, correct=False),
        one("3", 0.5, correct=False),
        one("7", 0.125, correct=True),
        one("9", None, correct=False),
    ]
    found = answers_of(attempts, [], "3", "prm")
    assert [(a["answer"], a["first"], a["count"], a["score"]) for a in found] == [
        ("3", 1, 2, 0.5),
        ("7", 0, 2, 0.25),
        ("9", 4, 1, None),
    ]
    events = [{"kind": "select", "by": "rule"}, {"kind": "select", "by": "prm"}]
    assert chosen_by(events) == "prm" and chosen_by([]) is None
    record = {"answer": "3", "correct": False, "error": "", "facts": {"aborted": 0}}
    view = {"record": record, "stops": [], "votes": [], "attempts": attempts, "answers": found}
    assert why({**view, "chosen_by": "prm"})[1] == (
        "A right answer had 2 of 5 samples, score 0.25: it was there and lost."
    )


def test_parameters_are_those_that_were_set_and_the_defaults_of_the_others() -> None:
    search = {"operator": "tree_search", "policy": {"name": "rebase", "balance": 0.5}}
    gone = {"operator": "no_such_operator", "from": "search", "n": 3}
    told = parameters_of_nodes({"search": search, "gone": gone})
    rows = {row["name"]: (row["value"], row["is_set"]) for row in told["search"]}
    assert rows["policy"] == ("rebase", True) and rows["policy.balance"] == (0.5, True)
    assert rows["policy.width"] == (16, False) and rows["verifier"] == ("prm", False)
    assert all(row["meaning"] for row in told["search"])
    assert told["gone"] == [{"name": "n", "value": 3, "is_set": True, "meaning": ""}]


def test_a_search_has_its_tree_and_the_moments_in_which_it_grew(searched: Path) -> None:
    run = opened(searched)
    view = problem_view(run, next(iter(run.statements)), 0)
    (search,) = view["searches"]
    grown = {m["tree_node"] for m in search["moments"] if m["kind"] in ("step", "fail")}
    assert grown == set(range(1, len(search["nodes"])))
    steps = view["attempts"][0]["steps"]
    last = search["nodes"][steps[-1]["tree_node"]]
    assert last["state"] == "finished" and steps[-1]["text"] == last["text"]
    assert [search["nodes"][s["tree_node"]]["depth"] for s in steps] == [1, 2, 3]


def test_steps_of_a_scored_attempt_have_their_scores(voted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "scored"
    shutil.copytree(voted, copy)

    def add(name: str, change: Any) -> None:
        lines = (copy / name).read_bytes().splitlines(keepends=True)
        values = [change(decode_line(line)) for line in lines]
        (copy / name).write_bytes(b"".join(map(encode_line, values)))

    add("generations.jsonl", lambda v: {**v, **({"text": "one\n\ntwo"} if "text" in v else {})})
    event = {"kind": "score", "id": "sample:0", "verifier": "prm", "steps": [0.9, 0.1]}
    add("trace.jsonl", lambda v: {**v, **event} if v["kind"] == "vote" else v)
    attempt = problem_view(opened(copy), "s0", 0)["attempts"][0]
    assert attempt["steps"] == [{"text": "one", "score": 0.9}, {"text": "two", "score": 0.1}]


def test_an_attempt_of_several_completions_shows_all_that_they_wrote(tmp_path: Path) -> None:
    def write(ask: Ask) -> Line:
        if ask.prompt.endswith("\\boxed{"):
            return Line("2}")
        return Line(" one and one." if ask.prompt.endswith("can") else "")

    sums = write_sums(tmp_path / "sums.jsonl", 1)
    evaluate(write, "file", "--data", sums, "--preset", "hogwild_lagged", "--out", str(tmp_path))
    (folder,) = tmp_path.glob("file-*")
    run = opened(folder)
    (attempt,) = problem_view(run, "s0", 0)["attempts"]
    whole = attempt["thought"] + attempt["text"]
    assert "one and one." in whole and "Bob" in whole and whole.endswith("\\boxed{2}")
    assert attempt["answer"] == "2"
    written = [one for each in prompts_of(run, "s0", 0) for one in each["written"]]
    assert len(written) > 1 and all("text" in one for one in written)
    assert any("one and one." in one["text"] for one in written)


def test_the_trace_holds_no_text_that_one_completion_holds(voted: Path, searched: Path) -> None:
    for folder in (voted, searched):
        assert b'"kind":"attempt"' not in (folder / "trace.jsonl").read_bytes()


def test_a_run_that_goes_on_shows_what_has_arrived(voted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "running"
    shutil.copytree(voted, copy)
    (copy / "summary.json").unlink()
    whole = (copy / "problems.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "problems.jsonl").write_bytes(b"".join(whole[:2]))
    run = opened(copy)
    states = [row["state"] for row in run.problems()]
    assert states.count("finished") == 2 and states.count("running") == 3
    waiting = next(row["id"] for row in run.problems() if row["state"] == "running")
    view = problem_view(run, waiting, 0)
    assert view["record"] is None and len(view["attempts"]) == 4
    (copy / "problems.jsonl").write_bytes(b"".join(whole))  # it has grown since
    assert problem_view(run, waiting, 0)["record"]["answer"] is not None


def test_of_a_run_that_grows_only_what_is_new_is_read(voted: Path, tmp_path: Path) -> None:
    copy, kept = tmp_path / "running", tmp_path / "kept"
    shutil.copytree(voted, copy)
    (copy / "summary.json").unlink()
    problems = copy / "problems.jsonl"
    first, *rest = problems.read_bytes().splitlines(keepends=True)
    problems.write_bytes(first)
    run = opened(copy)
    (before,) = run.stored.records
    with problems.open("ab") as file:
        file.write(b"".join(rest[:-1]) + rest[-1][:9])  # the last line is being written
    assert run.row()["done"] == 4
    assert run.stored.records[0] is before
    problems.rename(kept)  # the run is made anew in its folder
    problems.write_bytes(first)
    assert run.row()["done"] == 1
    assert run.stored.records[0] is not before


def test_weights_belong_to_the_class_whose_answer_they_name() -> None:
    attempts: list[dict[str, Any]] = [
        {"answer": "1/2", "answer_class": 0, "correct": True},
        {"answer": "0.5", "answer_class": 0, "correct": True},
        {"answer": "2", "answer_class": 1, "correct": False},
        {"answer": None, "answer_class": None, "correct": False},
    ]
    found = answers_of(attempts, [{"votes": {"2": 0.9, "0.5": 0.3}}], "2")
    assert [(one["answer"], one["count"], one["weight"]) for one in found] == [
        ("2", 1, 0.9),
        ("1/2", 2, 0.3),
        (None, 1, None),
    ]
    assert is_weighted(found) and [one["chosen"] for one in found] == [True, False, False]


def test_what_is_not_there_is_named(runs: Path, voted: Path) -> None:
    with pytest.raises(InputError, match="no problem 'x'"):
        problem_view(opened(voted), "x", 0)
    with pytest.raises(InputError, match="there is no run 'y'"):
        Library([runs]).run("y")
    with pytest.raises(InputError, match="no such folder"):
        Library([runs / "nowhere"])
    with pytest.raises(StoreError, match=r"run\.json is missing"):
        named_run(runs)


def test_the_server_gives_answers_and_pages_and_nothing_else(runs: Path, voted: Path) -> None:
    async def ask(path: str, host: str = "localhost") -> tuple[int, dict[str, str], str]:
        async with TestClient(TestServer(make_app(Library([runs])))) as client:
            response = await client.get(path, headers={"Host": f"{host}:1"})
            return response.status, dict(response.headers), await response.text()

    def get(path: str, host: str = "localhost") -> tuple[int, dict[str, str], str]:
        return asyncio.run(ask(path, host))

    status, headers, text = get("/")
    assert status == 200 and "app.js" in text
    assert "script-src 'self';" in headers["Content-Security-Policy"]
    status, _, text = get(f"/api/problem?run={voted.name}&problem=s0&repeat=0")
    assert status == 200 and json.loads(text)["statement"] == "What is 0 plus 2?"
    status, _, text = get(f"/api/problem?run={voted.name}&problem=s0&repeat=x")
    assert status == 404 and "repeat is a number" in json.loads(text)["error"]
    assert get("/api/nothing")[0] == 404
    assert get("/%2e%2e/server.py")[0] == 404 and get("/..%2fserver.py")[0] == 404
    assert get("/api/runs", host="elsewhere.example")[0] == 403


def test_a_page_of_one_file_holds_no_markup_of_a_model(runs: Path) -> None:
    page, left_out = build_page(Library([runs]))
    assert (
        left_out == 0
        and "stolen" not in page
        and "http://" not in page.replace("http://www.w3.org", "")
    )


def test_show_prints_problems_and_one_of_them(
    voted: Path, searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*arguments: str) -> Outcome:
        code = tts(["show", *arguments])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    listed = call(str(voted)).out.splitlines()
    assert listed[1].split() == ["s0", "wrong", "3", "2", "3/4", "1/4", "860"]
    one = call(str(voted), "s0", "--full").out
    assert "A right answer had 1 of 4 samples: it was there and lost." in one
    assert HOSTILE[30:60] in one and "prompt of sample" in one
    assert "hm, <b>bold</b>" in one and "hm, <b>bold</b>" not in call(str(voted), "s0").out
    problem = next(iter(opened(searched).statements))
    tree = call(str(searched), problem, "--draw", str(tmp_path / "tree.svg"))
    assert "└─" in tree.out and (tmp_path / "tree.svg").read_text().startswith("<svg")
    assert call(str(voted), "s0", "--draw", str(tmp_path / "t.svg")).code == 2
    assert call(str(searched), problem, "--draw", str(tmp_path / "t.doc")).code == 2
    assert json.loads(call(str(voted), "s0", "--json").out)["answers"][0]["chosen"]
