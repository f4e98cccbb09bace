"""Ranking series of samples: of runs and pools, by some problems, with results hidden."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evals.test_laws import record
from tts.cli.main import run
from tts.errors import InputError
from tts.evals.benchmarks.pool import series_of_pools
from tts.evals.laws.ranking import rank_series
from tts.evals.laws.ranking_plot import plot_ranking
from tts.evals.laws.series import Series


def system(name: str, marks: dict[str, str]) -> Series:
    """Each problem with its samples, r for right; no final answer, as in a pool."""
    records = [replace(record(p, m), correct=None) for p, m in marks.items()]
    levels = {p: {"level": "abcdefghijklmnop".index(p) % 2} for p in marks}
    return Series(name, name, records, None, levels)


STRONG = system("strong", dict.fromkeys("abcdefgh", "r"))
MIDDLE = system("middle", dict.fromkeys("abcdefghijkl", "ra"))
WEAK = system("weak", dict.fromkeys("efghijklmnop", "a"))


def test_systems_that_solved_other_problems() -> None:
    found = rank_series([WEAK, STRONG, MIDDLE])
    assert [entry.name for entry in found.entries] == ["strong", "middle", "weak"]
    assert [entry.accuracy for entry in found.entries] == [1.0, 0.5, 0.0]
    # a to l are shared by two or more; m to p are weak's alone.
    assert (found.problems, found.results) == (12, 8 + 12 + 8)
    assert found.agreement is None
    assert len(plot_ranking(found).axes[0].get_yticklabels()) == 3


def test_a_part_of_the_problems_and_of_the_results() -> None:
    odd = rank_series([STRONG, MIDDLE], where={"level": "1"})
    assert odd.problems == 4
    with pytest.raises(InputError, match="no problem has level=7"):
        rank_series([STRONG, MIDDLE], where={"level": "7"})
    half = rank_series([STRONG, MIDDLE, WEAK], keep=0.8)
    assert half.results < 28 and half.agreement == pytest.approx(1.0)
    with pytest.raises(InputError, match=r"lies in \(0, 1\]"):
        rank_series([STRONG, MIDDLE], keep=0)
    with pytest.raises(InputError, match="shared by two"):
        rank_series([STRONG, system("far", {"p": "r"})])


def test_the_command_ranks_the_models_of_a_mixed_pool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = tmp_path / "pool.jsonl"
    lines = [
        {
            "problem_id": f"p{i}",
            "gold": "4",
            "samples": [
                {"model": "good", "answer": "4", "correct": True},
                {"model": "bad", "answer": "5", "correct": i == 0},
            ],
        }
        for i in range(4)
    ]
    pool.write_text("\n".join(map(json.dumps, lines)))
    assert [one.name for one in series_of_pools(str(pool))] == ["good", "bad"]
    assert run(["rank", "--pool", str(pool), "--png", str(tmp_path / "rank.svg")]) == 0
    said = capsys.readouterr().out
    assert said.index("good") < said.index("bad") and "4 problems, 8 results" in said
    assert run(["rank", "--pool", str(pool), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert entries[1]["accuracy"] == 0.25 and entries[0]["place"]["best"] == 1
    assert run(["rank", "--pool", str(tmp_path / "none.jsonl")]) == 2
    assert "cannot read the pool" in capsys.readouterr().err
