"""`tts presets`, `tts doctor`, `tts compare` and `tts report`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.support.commands import Outcome
from tts.parts.catalog import names, preset_files

Tts = Callable[..., Outcome]


def test_list_has_every_preset(tts: Tts) -> None:
    listed = tts("presets", "list", "--json")
    assert [entry["name"] for entry in listed.json] == list(preset_files())
    assert all(entry["description"] for entry in listed.json)
    papers = {entry["name"]: entry["arxiv"] for entry in listed.json}
    assert (papers["rebase"], papers["single"]) == (["2408.00724"], [])
    assert tts("presets").out == tts("presets", "list").out


def test_show_prints_yaml(tts: Tts) -> None:
    shown = yaml.safe_load(tts("presets", "show", "self_consistency").out)
    assert shown["strategy"] == "self_consistency"
    nodes = tts("presets", "show", "self_consistency", "--json").json["nodes"]
    assert nodes["vote"]["from"] == "sample"


def test_check_says_what_is_wrong_and_where(tts: Tts) -> None:
    Path("good.yaml").write_text("strategy: self_consistency\n")
    Path("bad.yaml").write_text("strategy: self_consistency\nparameters:\n  m: 3\n")
    assert tts("presets", "check", "good.yaml").out == "good.yaml: good; sample -> vote\n"
    bad = tts("presets", "check", "bad.yaml")
    assert bad.code == 2
    assert bad.err.startswith("error: bad.yaml:3: strategy 'self_consistency' has no 'm'")


def test_graph_is_mermaid(tts: Tts) -> None:
    assert tts("presets", "graph", "self_consistency").out.splitlines() == [
        "flowchart LR",
        '  n0["sample<br/>n=16"]',
        '  n1["vote"]',
        "  n0 --> n1",
    ]


def test_doctor_looks_at_everything(tts: Tts) -> None:
    outcome = tts("doctor", "--json")
    seen = {(finding["kind"], finding["name"]) for finding in outcome.json["findings"]}
    assert {("engine", "vllm"), ("engine", "openai"), ("machine", "memory")} <= seen
    assert {name for kind, name in seen if kind == "benchmark"} == set(names("benchmark"))
    assert {name for kind, name in seen if kind == "preset"} == set(preset_files())
    table = tts("doctor").out
    assert max(map(len, table.splitlines())) <= 80


def evaluate(tts: Tts, data: str, *presets: str) -> list[dict[str, Any]]:
    flags = [word for preset in presets for word in ("--preset", preset)]
    runs: list[dict[str, Any]] = tts("eval", "file", "--data", data, "--json", *flags).json["runs"]
    return runs


def test_compare_pairs_the_problems(tts: Tts, data: str) -> None:
    single, voted = evaluate(tts, data, "single", "self_consistency")
    outcome = tts("compare", single["out"], voted["out"], "--json")
    (comparison,) = outcome.json["comparisons"]
    assert comparison["problems"] == 5
    assert comparison["accuracy"] == [single["accuracy"], voted["accuracy"]]
    difference, low, high = comparison["difference"]
    assert difference == pytest.approx(voted["accuracy"] - single["accuracy"])
    assert low <= difference <= high
    table = tts("compare", single["out"], voted["out"]).out
    assert max(map(len, table.splitlines())) <= 80


def test_compare_refuses_what_does_not_compare(tts: Tts, data: str) -> None:
    (single,) = evaluate(tts, data, "single")
    assert "at least two" in tts("compare", single["out"]).err
    assert "no run here" in tts("compare", single["out"], "nowhere").err
    other = tts("eval", "chain", "--limit", "2", "--preset", "single", "--json").json["runs"][0]
    assert "only runs of one benchmark" in tts("compare", single["out"], other["out"]).err


def test_report_writes_a_page(tts: Tts, data: str) -> None:
    runs = [run["out"] for run in evaluate(tts, data, "single", "self_consistency")]
    assert tts("report", *runs, "--html", "out/report.html").code == 0
    assert 'id="answers"' in Path("out/report.html").read_text()
    assert [run["out"] for run in tts("report", *runs, "--json").json["runs"]] == runs


def test_report_prints_markdown(tts: Tts, data: str) -> None:
    runs = [run["out"] for run in evaluate(tts, data, "single", "self_consistency")]
    head, sides, *rows = tts("report", *runs, "--markdown").out.splitlines()
    assert head.startswith("| benchmark | preset | accuracy |")
    assert sides.startswith("| --- | --- | ---: |")
    assert [row.split(" | ")[1] for row in rows] == ["single", "self_consistency"]
    assert {line.count("|") for line in (head, sides, *rows)} == {head.count("|")}


def test_report_prints_a_table_for_latex(tts: Tts, data: str) -> None:
    runs = [run["out"] for run in evaluate(tts, data, "self_consistency")]
    lines = tts("report", *runs, "--latex").out.splitlines()
    assert lines[0] == r"\begin{tabular}{llrrrrr}" and lines[-1] == r"\end{tabular}"
    assert lines[4].startswith(r"file & self\_consistency & ") and lines[4].endswith(r" \\")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_export_writes_a_row_for_each_sample(tts: Tts, data: str, name: str) -> None:
    (run,) = evaluate(tts, data, "self_consistency")
    assert "80 rows" in tts("export", run["out"], "-o", name, "--texts").out
    read = pd.read_csv if name.endswith("csv") else pd.read_parquet
    table = read(name)
    assert (len(table), table.problem.nunique(), set(table.preset)) == (80, 5, {"self_consistency"})
    assert (
        table.text.str.contains("boxed").all() and table.tokens.sum() == run["tokens"]["generated"]
    )
    assert "the file ends in one of" in tts("export", run["out"], "-o", "t.doc").err


def test_a_log_for_inspect_has_a_sample_for_each_problem(tts: Tts, data: str) -> None:
    inspect = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed")
    (run,) = evaluate(tts, data, "self_consistency")
    assert tts("export", run["out"], "-o", "run.eval").code == 0
    log = inspect.read_eval_log("run.eval")
    assert (log.status, len(log.samples), log.samples[0].target) == ("success", 5, "2")
    assert log.results.scores[0].metrics["accuracy"].value == run["accuracy"]
    assert "a log is of one run" in tts("export", run["out"], run["out"], "-o", "two.eval").err


def test_laws_stand_beside_what_was_measured(tts: Tts, data: str) -> None:
    (run,) = evaluate(tts, data, "self_consistency")
    words = " ".join(tts("report", run["out"]).out.split())
    assert "the beta-binomial law, fitted to 4 samples a problem, says pass@16 is" in words
    assert "TTSPM (one rate for all problems), fitted to 4 samples a problem, says maj@16" in words
    assert words.count("; measured ") == 3 and "levels off" not in words
    (laws,) = tts("report", run["out"], "--json").json["laws"]
    assert [law["law"] for law in laws["held_out"]] == ["beta-binomial", "TTSPM", "TTSPM"]


def test_report_passes_over_the_picture_that_eval_drew(tts: Tts, data: str) -> None:
    evaluate(tts, data, "single", "self_consistency")
    found = [str(path) for path in sorted(Path("runs").iterdir())]
    assert any(path.endswith(".png") for path in found)
    outcome = tts("report", *found)
    assert outcome.code == 0 and "self_consistency" in outcome.out
    assert "passed over runs/file-accuracy" in outcome.err
    (picture,) = [path for path in found if path.endswith(".png")]
    assert "none of these is a run folder" in tts("report", picture).err


@pytest.mark.parametrize(
    ("name", "start"), [("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("a.PNG", b"\x89PNG")]
)
def test_a_picture_has_the_format_of_its_name(tts: Tts, data: str, name: str, start: bytes) -> None:
    (run,) = evaluate(tts, data, "single")
    assert tts("plot", run["out"], "-o", name, "--size", "3.3x2.4").code == 0
    assert Path(name).read_bytes().startswith(start)
    assert "WIDTHxHEIGHT" in tts("plot", run["out"], "-o", "a.pdf", "--size", "wide").err
    refused = tts("plot", run["out"], "-o", "a.jpg")
    assert (refused.code, Path("a.jpg").exists()) == (2, False)
    assert "ends in one of .png, .pdf, .svg" in refused.err


def test_costs_have_the_unit_that_is_asked_for(tts: Tts, data: str) -> None:
    single, voted = (run["out"] for run in evaluate(tts, data, "single", "self_consistency"))
    shown = tts("report", single, voted, "--unit", "calls").out
    assert "calls a problem" in shown and "a right answer" in shown
    compared = tts("compare", single, voted, "--unit", "sequential")
    words = " ".join(compared.out.split())
    assert "sequential a problem" in words and "equal cost" in words
    assert "there is no unit 'watts'" in tts("compare", single, voted, "--unit", "watts").err
    unknown = tts("plot", single, "--unit", "usd", "-o", "a.png")
    assert (unknown.code, "knows its cost in usd" in unknown.err) == (2, True)


def test_report_of_an_interrupted_run_shows_what_is_finished(tts: Tts, data: str) -> None:
    (run,) = evaluate(tts, data, "single")
    folder = Path(run["out"])
    (folder / "summary.json").unlink()
    kept = (folder / "problems.jsonl").read_text().splitlines(keepends=True)[:3]
    (folder / "problems.jsonl").write_text("".join(kept))
    (found,) = tts("report", run["out"], "--json").json["runs"]
    assert (found["problems"], found["done"], found["planned"]) == (3, 3, 5)
    table = tts("report", run["out"]).out
    assert "3/5" in table and "unfinished, 3 of 5: easy problems finish first" in table
    (folder / "problems.jsonl").write_text("")
    empty = tts("report", run["out"])
    assert (empty.code, "no problem is finished yet" in empty.err) == (2, True)
