"""`tts bench strategies`: its arithmetic by hand, its barrier, and one small run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.evals.test_report import record, stored
from tests.support.results import noted
from tests.support.scripts import in_order, place
from tests.support.solving import solve
from tts.bench import strategies
from tts.bench.strategies import BEGIN, END, describe
from tts.bench.strategies_figures import (
    BASE,
    METHODS,
    PACES,
    Figures,
    Gather,
    Row,
    curve_rows,
    markdown,
    method_preset,
    method_row,
    pace,
    plot_summaries,
    points,
    replace_between,
    saving,
    task_figures,
)
from tts.cli.main import run as run_command
from tts.engine.scripted import Ask, Line
from tts.evals.metrics import Difference
from tts.evals.stored_run import StoredRun
from tts.operators.sample import sample
from tts.pipeline import Pipeline
from tts.types import Usage

# Two problems, four samples of ten tokens each: one always right, one with three of four wrong.
BASE_RUN = stored(record("p", "rrrr"), record("q", "raaa"), preset=BASE)


def spent(marks: Sequence[str], tokens: int, *, scored: int = 0, seconds: float = 1.0) -> StoredRun:
    """Make a run of the problems p and q that generated `tokens` on each."""
    usage = Usage(generated_tokens=tokens, scored_tokens=scored, calls=1)
    records = [
        replace(record(name, mark), usage=usage, seconds=seconds)
        for name, mark in zip("pq", marks, strict=True)
    ]
    return replace(stored(*records), seconds=seconds)


def test_the_curve_is_voting_over_fewer_samples() -> None:
    rows = curve_rows(BASE_RUN)
    assert [row.method for row in rows] == [f"{BASE} {k}" for k in (1, 2, 4)]
    assert [row.tokens for row in rows] == [10, 20, 40]
    # q: one of four is right; of two, the three pairs with it are ties: 3/6 * 1/2; of four, never.
    assert [row.accuracy for row in rows] == pytest.approx([0.625, 0.625, 0.5])
    assert [row.seconds for row in rows] == [None, None, BASE_RUN.seconds]


def test_a_method_is_read_against_the_curve_at_its_own_tokens() -> None:
    row = method_row("m", BASE_RUN, spent("rr", 15, scored=7))
    assert (row.accuracy, row.tokens, row.scored) == (1.0, 15, 7)
    # Between 10 and 20 tokens the curve is level at 1 for p and at 1/4 for q.
    assert row.gain is not None and row.gain.mean == pytest.approx(1 - 0.625)


def test_beyond_the_curve_there_is_no_difference() -> None:
    assert method_row("m", BASE_RUN, spent("rr", 41)).gain is None


def test_a_saving_counts_tokens_and_accuracy_against_all_samples() -> None:
    found = saving("early_stop", BASE_RUN, spent("ra", 10))
    assert found.tokens == 0.75  # 10 in place of 40
    assert found.gain == (0.0, 0.0, 0.0)  # both vote r on p and a on q


def test_a_pace_joins_its_rounds() -> None:
    rounds = [spent("rr", 10, seconds=s) for s in (1.0, 5.0)] + [spent("ra", 40, seconds=2.0)]
    found = pace("streaming", rounds)
    assert found.accuracy == pytest.approx(5 / 6)
    assert found.tokens == pytest.approx(20)
    assert (found.seconds, found.wait) == (2.0, 2.0)


def test_scoring_is_timed_against_the_same_samples_unscored() -> None:
    runs = {
        BASE: [BASE_RUN],
        "fixed": [spent("rr", 20, seconds=2.0), spent("rr", 20, seconds=4.0)],
        "best_of_n": [spent("rr", 20, seconds=3.0), spent("rr", 20, seconds=4.0)],
    }
    figures = task_figures("chain", runs)
    assert figures.scoring == pytest.approx((0.5, 0.0))
    assert figures.problems == 2
    assert [row.method for row in figures.rows][-1] == "best_of_n"
    assert "scoring adds +25%" in "\n".join(describe(figures))


def test_the_plot_has_one_curve() -> None:
    runs = {BASE: [BASE_RUN], "genselect": [stored(record("p", "rr"), record("q", "rr"))]}
    curves = [bool(summary.maj_at_k) for summary in plot_summaries(runs)]
    assert curves == [True, False]


def test_points() -> None:
    assert points(Difference(0.0125, -0.02, 0.1)) == "+1.2 [-2.0, +10.0]"


@pytest.mark.parametrize("method", [*METHODS, *PACES])
def test_every_method_samples_alike(method: str) -> None:
    preset = method_preset(method, 8, "prm")
    assert (preset.name, preset.sampling.temperature, preset.sampling.top_p) == (method, 0.8, 1.0)
    assert preset.sampling.max_tokens == 1024


def test_the_barrier_waits_for_whole_batches() -> None:
    """Six votes to one are 1 - (1/2)^8 * 9 = 0.965 certain; the eighth sample is slow."""

    def line(ask: Ask) -> Line:
        reply = in_order(7, 7, 8, 7, 7, 7, 7, 7)(ask)
        return replace(reply, ticks=500 if place(ask) == 7 else 1)

    streamed, waited = (
        solve(line, method_preset(form, 32, "prm").pipeline)
        for form in ("streaming by 4", "barrier by 4")
    )
    assert [event["read"] for event in noted(streamed, "stopped")] == [7]
    assert [event["calls"] for event in noted(streamed, "abort")] == [1]
    assert [event["read"] for event in noted(waited, "stopped")] == [7]
    assert noted(waited, "abort") == [] and len(waited.samples) == 8


def test_gather_sends_what_is_left_at_the_end() -> None:
    found = solve(in_order(1, 2, 3, 4, 5), sample(n=5) >> Pipeline.of(Gather(size=4)))
    assert [t.answer for t in found.trajectories] == ["1", "2", "3", "4", "5"]


ROW = Row("pdr", 0.5, 0.4, 0.6, 1234.4, 0.0, 9.6, Difference(0.01, 0.0, 0.02))


def test_markdown_by_hand() -> None:
    text = markdown([Figures("chain", 100, (ROW,), (), (), ())], "caption")
    assert text.splitlines()[0] == "caption"
    assert text.splitlines()[-1] == ("| pdr | 50.0% | 40-60 | 1,234 |  | 10 | +1.0 [+0.0, +2.0] |")


def test_a_table_is_replaced_between_its_markers() -> None:
    old = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = replace_between(old, BEGIN, END, "new", Path("R"))
    assert new == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert replace_between(new, BEGIN, END, "new", Path("R")) == new


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}"])
def test_a_file_without_markers_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "R.md"
    path.write_text(text)
    assert run_command(["bench", "strategies", "--readme", str(path)]) == 2
    assert "put the lines" in capsys.readouterr().err
    assert path.read_text() == text


def test_an_unknown_method_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["bench", "strategies", "--method", "pdq"]) == 2
    assert "no method 'pdq'" in capsys.readouterr().err


def test_the_command_writes_table_and_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def measured(*_: Any) -> dict[str, dict[str, list[StoredRun]]]:
        return {"chain": {BASE: [BASE_RUN], "pdr": [spent("rr", 15)]}}

    monkeypatch.setattr(strategies, "measure", measured)
    path = tmp_path / "R.md"
    path.write_text(f"{BEGIN}\n{END}\n")
    words = ["bench", "strategies", "--task", "chain", "--method", "pdr", "--out", str(tmp_path)]
    assert run_command([*words, "--readme", str(path)]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines()[:6])) <= 80
    again = f"again tts bench strategies --out {tmp_path} --task chain --method pdr"
    assert printed.splitlines()[-1] == again
    assert "| pdr | 100.0% |" in path.read_text()
    assert (tmp_path / "strategies.png").stat().st_size > 0
