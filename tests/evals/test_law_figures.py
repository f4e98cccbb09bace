"""What `tts laws` says of samples, worked by hand, and what it refuses."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.evals.test_laws import record
from tests.evals.test_report import stored
from tts.cli.main import run
from tts.errors import InputError, ProblemError
from tts.evals.benchmarks.pool import series_of_pools
from tts.evals.laws.figures import arise_of_runs, arise_of_votes, figures_of
from tts.evals.laws.plot import plot_laws
from tts.evals.laws.series import Series, series_of_run
from tts.evals.laws.verification import splits_of
from tts.evals.records import Record, Sample
from tts.types import Usage


def judged(marks: str, scores: tuple[float, ...], *, checking: int) -> Record:
    """One sample a letter, r for right; 10 tokens each; a judge's share of four verdicts."""
    samples = tuple(
        Sample(mark, ord(mark), mark == "r", 10, {"judge(k=4)": score})
        for mark, score in zip(marks, scores, strict=True)
    )
    usage = Usage(generated_tokens=10 * len(marks) + checking, checking_tokens=checking)
    return Record("p", 0, "r", True, usage, 1.0, "", samples, is_cut=False)


def test_what_k_samples_are_worth() -> None:
    found = figures_of(Series("s", "m", [record("p", "rrab"), record("q", "abcd")]))
    one, two, four, further = found.sizes
    assert [size.k for size in found.sizes] == [1, 2, 4, 16]
    # p: C(2,2) = 1 of 6 pairs has both right ones, and 1 in which neither is.
    assert two.worst == pytest.approx(1 / 12) and two.passed == pytest.approx(5 / 12)
    # maj@2 of p: rr wins, ra and rb (4 pairs) tie, ab loses: (1 + 4 / 2) / 6.
    assert two.voted == pytest.approx(0.25)
    assert two.cost_of_pass == pytest.approx(20 / 0.25)
    # The four of p vote rr, those of q tie four ways and none is right: 40 / .5 = 80.
    assert one.cost_of_pass == pytest.approx(10 / 0.25) and four.cost_of_pass == pytest.approx(80)
    assert found.cheapest is one
    assert further.passed is further.worst is further.voted is further.cost_of_pass is None
    assert further.beta_binomial is not None and found.laws is None
    # PassUntil of three: p ends with 2 of 4, q with none.
    until = figures_of(Series("s", "m", [record("p", "rrab"), record("q", "abcd")])).until
    assert until is not None and (until.chance, until.samples) == (0.25, 4)


def test_verdicts_cost_tokens_and_choose() -> None:
    # The right sample has all verdicts, the wrong ones none: one verdict is enough to find it.
    # 4 samples of 4 verdicts took 32 tokens, 2 each: .2 of a solution.
    series = Series("s", "m", [judged("rabc", (1, 0, 0, 0), checking=32)])
    (grid,) = splits_of(series)
    assert grid.relative_tokens == pytest.approx(0.2)
    by_split = {(split.solutions, split.verdicts): split for split in grid.splits}
    assert by_split[4, 1].accuracy == 1.0
    assert by_split[4, 1].cost == pytest.approx(4 * 1.2)
    assert by_split[4, 0].accuracy == pytest.approx(0.25)  # four answers tie
    assert by_split[2, 4].accuracy == pytest.approx(0.5, abs=0.1)  # it is one of two half the time
    assert [(s.solutions, s.verdicts) for s in figures_of(series).best_splits][-1] == (4, 1)


def test_fewer_verdicts_are_drawn_from_those_that_there_are() -> None:
    # Right: 3 of 4 accept; wrong: 2 of 4. One verdict each: right 1 and wrong 0 has chance 3/8,
    # both alike 3/8 + 1/8, so the right one is chosen in 3/8 + 1/4 = 5/8.
    (grid,) = splits_of(Series("s", "m", [judged("ra", (0.75, 0.5), checking=8)]))
    by_split = {(split.solutions, split.verdicts): split.accuracy for split in grid.splits}
    assert by_split[2, 1] == pytest.approx(5 / 8, abs=0.06)
    assert by_split[2, 4] == 1.0


def test_no_grid_where_nobody_counted_verdicts() -> None:
    drawn = judged("ra", (1, 0), checking=8)
    uncounted = replace(drawn, usage=replace(drawn.usage, checking_tokens=None))
    assert splits_of(Series("s", "m", [uncounted])) == ()
    assert splits_of(Series("s", "m", [record("p", "ra", (0.9, 0.1))])) == ()  # prm, no verdicts


def test_arise_of_votes_and_of_runs() -> None:
    # Six samples: votes of 1 and 2, three runs and more of each. All alike, so three are enough.
    steady = arise_of_votes(Series("s", "m", [record("p", "rrrrrr"), record("q", "aaaaaa")]))
    assert steady is not None
    assert (steady.score, steady.accuracy, steady.tokens) == (0.0, (0.5, 0.5), (10, 20))
    assert (steady.runs, steady.short) == (3.0, 0.5)  # of votes of 2 there are three, no more
    low = stored(spending("p", 100, "a"), spending("q", 100, "r"))
    high = stored(spending("p", 200, "r"), spending("q", 200, "a"))
    found = arise_of_runs([low, high], ["low", "high"])
    assert found.score == pytest.approx((0.5 - 2) / 2)
    assert found.levels == ("low", "high") and found.short == 1.0  # one run, three are asked for
    with pytest.raises(InputError, match="share no finished problem"):
        arise_of_runs([low, stored(spending("z", 1, "r"))], ["low", "high"])


def spending(name: str, tokens: int, mark: str) -> Any:
    usage = Usage(generated_tokens=tokens)
    return replace(record(name, mark), correct=mark == "r", usage=usage)


def test_a_cut_run_is_no_fair_draw() -> None:
    with pytest.raises(InputError, match="no fair draw; take a run of a fixed number"):
        series_of_run(stored(record("p", "rr", is_cut=True)), "s")


def write_pool(path: Path, **changes: Any) -> Path:
    samples = [
        {"answer": "4", "correct": True, "tokens": 10},
        {"answer": " 4.0", "correct": True, "tokens": 20},
        {"answer": "5", "correct": False, "tokens": 30},
        {"answer": None, "correct": False, "tokens": 40},
    ]
    line = {"problem_id": "p", "model": "m", "gold": "4", "samples": samples, **changes}
    path.write_bytes(gzip.compress(json.dumps(line).encode()))
    return path


def test_a_pool_is_a_series_of_each_model(tmp_path: Path) -> None:
    (series,) = series_of_pools(str(write_pool(tmp_path / "pool.jsonl.gz")))
    (problem,) = series.records
    assert (series.name, series.model, series.tokens, series.samples) == ("pool", "m", 25, 4)
    # Both right ones are one class, whatever they look like; no answer has none.
    assert [sample.answer_class for sample in problem.samples] == [0, 0, 1, None]
    ungraded = write_pool(tmp_path / "other.jsonl", samples=[{"answer": "4"}])
    ungraded.write_bytes(gzip.decompress(ungraded.read_bytes()))
    with pytest.raises(ProblemError, match="no problem has graded samples"):
        series_of_pools(str(ungraded))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool, picture = str(write_pool(tmp_path / "pool.jsonl.gz")), tmp_path / "laws.png"
    assert run(["laws", "--pool", pool, "--png", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "pool: 1 problems, 4 samples of 25 tokens" in said
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run(["laws", "--pool", pool, "--json"]) == 0
    (figures,) = json.loads(capsys.readouterr().out)["series"]
    assert figures["sizes"][0]["passed"] == 0.5
    assert run(["laws"]) == 2
    assert "name run folders, or pools" in capsys.readouterr().err
    assert run(["laws", "--levels", "runs/a"]) == 2
    assert "two runs or more, in rising order" in capsys.readouterr().err


def test_a_picture_has_room_for_six_series() -> None:
    found = figures_of(Series("s", "m", [record("p", "ra")]))
    assert len(plot_laws([found]).axes) == 3
    with pytest.raises(InputError, match="room for 6 series, not 7"):
        plot_laws([found] * 7)
