"""Runs as tables and as logs of inspect_ai: whoever wrote a sample, its whole text is there."""

import csv
from pathlib import Path

import pytest

from tests.support.commands import write_sums
from tests.support.searching import steps_of, whole
from tests.viewer.conftest import evaluate
from tts.engine.scripted import Ask, Line
from tts.errors import InputError
from tts.evals.export import export_runs
from tts.evals.stored_run import StoredRun, load_run


def search(ask: Ask) -> Line:
    return Line(f"step {len(steps_of(ask))}\n\nmore" if len(steps_of(ask)) < 2 else r"\boxed{7}")


def team(ask: Ask) -> Line:
    if ask.prompt.endswith("\\boxed{"):
        return Line("2}")
    return Line(" one and one." if ask.prompt.endswith("can") else "")


def made(folder: Path) -> StoredRun:
    (found,) = (path.parent for path in folder.glob("*/run.json"))
    return load_run(found)


@pytest.fixture(scope="module")
def voted(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """Two sums by four samples each, of which the second is right."""
    folder = tmp_path_factory.mktemp("voted")
    said = ["none", r"so \boxed{2}", r"\boxed{9}", r"\boxed{9}"]
    sums = write_sums(folder / "sums.jsonl", 1)
    arguments = ("--preset", "self_consistency", "--set", "n=4", "--out", str(folder))
    evaluate(lambda ask: Line(said[ask.index]), "file", "--data", sums, *arguments)
    return made(folder)


def rows(run: StoredRun, folder: Path) -> list[dict[str, str]]:
    count = export_runs([run], folder / "samples.csv", texts=True)
    with (folder / "samples.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert len(found) == count
    return found


def test_a_table_has_a_row_for_each_sample(voted: StoredRun, tmp_path: Path) -> None:
    found = rows(voted, tmp_path)
    assert [(row["text"], row["answer"], row["correct"]) for row in found] == [
        ("none", "", "False"),
        (r"so \boxed{2}", "2", "True"),
        (r"\boxed{9}", "9", "False"),
        (r"\boxed{9}", "9", "False"),
    ]
    assert {(row["chosen"], row["chosen_correct"]) for row in found} == {("9", "False")}


def test_a_sample_of_a_search_is_the_whole_path_to_its_leaf(tmp_path: Path) -> None:
    small = ("--set", "verifier=rule", "--set", "sampling.max_tokens=60", "--set", "width=2")
    arguments = ("--preset", "rebase", "--limit", "1", *small, "--out", str(tmp_path))
    evaluate(whole(search), "chain", *arguments)
    texts = {row["text"] for row in rows(made(tmp_path), tmp_path)}
    assert texts == {"step 0\n\nstep 1\n\n\\boxed{7}"}


def test_a_sample_of_several_completions_has_all_that_they_wrote(tmp_path: Path) -> None:
    sums = write_sums(tmp_path / "sums.jsonl", 1)
    evaluate(team, "file", "--data", sums, "--preset", "hogwild_lagged", "--out", str(tmp_path))
    (row,) = rows(made(tmp_path), tmp_path)
    assert "one and one." in row["text"] and row["text"].endswith("\\boxed{2}")


def test_inspect_reads_a_log_of_a_run(voted: StoredRun, tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed")
    for name in ("run.eval", "run.json"):
        assert export_runs([voted], tmp_path / name) == 1
        read = log.read_eval_log(str(tmp_path / name))
        assert (read.status, read.eval.dataset.name) == ("success", "file")
        assert read.results.scores[0].metrics["accuracy"].value == 0.0
        (sample,) = read.samples
        assert (sample.id, sample.target, sample.scores["answer"].answer) == ("s0", "2", "9")
        assert [choice.message.content for choice in sample.output.choices][1] == r"so \boxed{2}"


def test_other_endings_and_several_runs_in_one_log_are_refused(
    voted: StoredRun, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"ends in one of \.csv"):
        export_runs([voted], tmp_path / "samples.xlsx")
    with pytest.raises(InputError, match="a log is of one run; 2 were named"):
        export_runs([voted, voted], tmp_path / "run.eval")
