"""Figures of a run, worked out by hand, and what is drawn of them."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.errors import InputError
from tts.evals.compare import compare
from tts.evals.plot import Band, plot_accuracy, save_plot
from tts.evals.records import Record, Sample
from tts.evals.report import summarise
from tts.evals.stored_run import StoredRun
from tts.types import Usage
from tts.types.figures import KVBytes, Summary

CONFIG = {
    "benchmark": "chain",
    "preset": "vote",
    "model": "m",
    "engine": "vllm",
    "seed": 3,
    "problems": 3,
    "repeats": 1,
}


def record(problem_id: str, marks: str, *, repeat: int = 0, is_cut: bool = False) -> Record:
    """Make a record: r is a right sample, a and b are wrong ones, - has no answer."""
    groups = {"r": 0, "a": 1, "b": 2, "-": None}
    samples = tuple(Sample(m, groups[m], m == "r", 10) for m in marks)
    voters = [m for m in marks if m != "-"]
    winner = max(voters, key=voters.count) if voters else None
    return Record(
        id=problem_id,
        repeat=repeat,
        answer=winner,
        correct=winner == "r",
        usage=Usage(
            prompt_tokens=7,
            generated_tokens=10 * len(marks),
            calls=len(marks),
            kv_bytes=8,
            dense_kv_bytes=32,
        ),
        seconds=1.0,
        error="" if winner else "no trajectory gave an answer",
        samples=samples,
        is_cut=is_cut,
    )


def summary(*records: Record, **config: Any) -> Summary:
    whole = {**CONFIG, "problems": len({r.id for r in records}), **config}
    return summarise(whole, records, seconds=2.0, out=Path("out"))


def test_revisions_are_no_draws() -> None:
    first = record("p", "rarr")
    samples = tuple(replace(a, is_independent=i < 2) for i, a in enumerate(first.samples))
    figures = summary(replace(first, samples=samples))
    # Of the two independent samples one is right: pass@1 1/2, pass@2 1, and maj@2 is a tie.
    assert figures.pass_at_k == {1: 0.5, 2: 1.0}
    assert figures.maj_at_k == {1: 0.5, 2: 0.5}
    assert figures.samples == 4


def test_figures_by_hand() -> None:
    figures = summary(record("p", "rraa"), record("q", "rbbb"), record("s", "----"))
    assert figures.problems == 3 and figures.answered == 2 and figures.samples == 12
    assert figures.accuracy == pytest.approx(1 / 3)
    assert figures.tokens.generated == 120  # 12 samples of 10
    # pass@1: (2/4 + 1/4 + 0) / 3; pass@2: p 1 - C(2,2)/C(4,2) = 5/6, q 1 - C(3,2)/6 = 1/2.
    assert figures.pass_at_k == pytest.approx({1: 0.25, 2: (5 / 6 + 1 / 2) / 3, 4: 2 / 3})
    # maj@4: p is a tie of r and a, so 1/2; q goes to b.
    assert figures.maj_at_k[4] == pytest.approx(0.5 / 3)
    assert figures.kv_bytes == KVBytes(read=3 * 8, dense=3 * 32)
    low, high = figures.interval
    assert 0 < low < 1 / 3 < high < 1


def test_at_k_goes_no_further_than_the_fewest_samples() -> None:
    assert set(summary(record("p", "rra"), record("q", "rraab")).pass_at_k) == {1, 2}
    assert summary(record("p", "rr"), record("q", "")).pass_at_k == {}
    assert summary(record("p", "rr"), record("q", "rr", is_cut=True)).maj_at_k == {}


def test_repeats_count_once_per_problem() -> None:
    figures = summary(
        *(record("p", "r", repeat=i) for i in range(3)),
        record("p", "a", repeat=3),
        *(record("q", "a", repeat=i) for i in range(4)),
        repeats=4,
    )
    assert figures.problems == 2
    assert figures.accuracy == 0.375  # (3/4 + 0) / 2
    assert figures.interval == (0.0, 0.75)  # two problems: means of pairs drawn from {0, 3/4}


def stored(*records: Record, **config: Any) -> StoredRun:
    whole = {**CONFIG, "problems": len({r.id for r in records}), **config}
    return StoredRun(Path("runs/x"), whole, records, 1.0, None)


def test_comparison_pairs_what_both_have() -> None:
    first = stored(record("p", "a"), record("q", "r"), record("only first", "r"))
    second = stored(record("q", "rrr"), record("p", "rrr"), record("only second", "a"))
    figures = compare(first, second)
    assert figures.problems == 2
    assert figures.accuracy == (0.5, 1.0)
    assert figures.difference == (0.5, 0.0, 1.0)  # differences are 1 and 0
    assert (figures.unit, figures.cost) == ("tokens", (10, 30))


def test_runs_that_share_nothing_do_not_compare() -> None:
    with pytest.raises(InputError, match="share no finished problem"):
        compare(stored(record("p", "r")), stored(record("q", "r")))
    with pytest.raises(InputError, match="only runs of one benchmark"):
        compare(stored(record("p", "r")), stored(record("p", "r"), benchmark="gsm8k"))


def test_plot_has_a_panel_per_benchmark_and_a_point_per_run(tmp_path: Path) -> None:
    runs = [
        summary(record("p", "ra"), preset="one"),
        summary(record("p", "rr"), preset="two"),
        summary(record("p", "r"), benchmark="gsm8k"),
    ]
    left, right = plot_accuracy(runs).axes
    assert left.get_xscale() == "log" and left.get_ylabel() == "accuracy"
    assert left.get_title(loc="left") == "chain, 1 problems, m"
    assert len(left.containers) == 2 and len(right.containers) == 1
    save_plot(runs, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_preset_has_one_colour_and_its_name_beside_its_point() -> None:
    first, second = summary(record("p", "ra"), preset="b"), summary(record("p", "rr"), preset="a")
    other = summary(record("p", "r"), preset="b", benchmark="gsm8k")
    left, right = plot_accuracy([first, second, other]).axes
    colours = [container[0].get_color() for axes in (left, right) for container in axes.containers]
    assert colours[0] == colours[2] != colours[1]
    assert sorted(text.get_text() for text in left.texts) == ["a", "b"]


def test_models_of_one_preset_are_told_apart_by_colour_and_name() -> None:
    runs = [summary(record("p", "ra"), preset="b", model=model) for model in ("/m/one", "two")]
    (axes,) = plot_accuracy(runs).axes
    first, second = (container[0].get_color() for container in axes.containers)
    assert first != second
    assert sorted(text.get_text() for text in axes.texts) == ["one", "two"]


def test_points_in_one_place_are_rings_and_labels_are_apart() -> None:
    runs = [summary(record("p", "ra"), preset=name) for name in "abc"]
    (axes,) = plot_accuracy(runs).axes
    sizes = [container[0].get_markersize() for container in axes.containers]
    assert sizes == sorted(set(sizes))
    heights = sorted(text.get_position()[1] for text in axes.texts)
    assert min(b - a for a, b in pairwise(heights)) > 0.03


def test_a_line_has_its_interval_as_a_band() -> None:
    whole = summary(record("p", "rara"), record("q", "raab"), preset="vote")
    band = [Band(10, 0.1, 0.9), Band(40, 0.2, 0.8)]
    (axes,) = plot_accuracy([whole], bands={whole.out: band}).axes
    (drawn,) = [c for c in axes.collections if str(c.get_label()).startswith("vote: 95 %")]
    assert drawn.get_datalim(axes.transData).height == pytest.approx(0.8)


def test_a_plot_names_a_model_by_its_folder() -> None:
    (axes,) = plot_accuracy([summary(record("p", "r"), model="/home/me/models/small")]).axes
    assert axes.get_title(loc="left") == "chain, 1 problems, small"


def test_a_plot_draws_what_was_measured_and_no_law() -> None:
    whole = summary(record("p", "rara"), record("q", "raab"), preset="vote")
    (axes,) = plot_accuracy([whole]).axes
    _, labels = axes.get_legend_handles_labels()
    assert sorted(labels) == ["vote", "vote: maj@1 to maj@4"]
    (curve,) = [line for line in axes.lines if line.get_label() == "vote: maj@1 to maj@4"]
    assert [float(x) for x in np.asarray(curve.get_xdata())] == [10, 20, 40]
    assert list(np.asarray(curve.get_ydata())) == list(whole.maj_at_k.values())


def test_unfinished_runs_and_other_models_are_named() -> None:
    half = summary(record("p", "ra"), preset="one", problems=2, model="a")
    (axes,) = plot_accuracy([half, summary(record("p", "r"), preset="two", model="$b$")]).axes
    labels = axes.get_legend_handles_labels()[1]
    assert "one, a (unfinished, 1 of 2)" in labels and "two, $b$" in labels
    hollow, full = (container[0].get_markerfacecolor() for container in axes.containers)
    assert hollow == "none" != full


def test_a_cost_that_is_not_known_is_no_white_picture() -> None:
    uncounted = replace(record("p", "ra"), usage=Usage(generated_tokens=None, calls=2))
    bare = summary(uncounted, preset="bare")
    with pytest.raises(InputError, match="none of these runs knows its cost in tokens"):
        plot_accuracy([bare])
    figure = plot_accuracy([bare, summary(record("p", "ra"))])
    assert figure.get_supxlabel() == "left out, cost not known: bare"
    (axes,) = plot_accuracy([bare], "calls").axes
    assert axes.get_xlabel() == "samples per problem" and len(axes.containers) == 1


@pytest.mark.parametrize("name", ["costs $5", "$x_$", "$\\frac{$", "a $b_{c} $d", "50 % of _^\\"])
def test_a_name_is_drawn_as_it_is(name: str, tmp_path: Path) -> None:
    runs = [summary(record("p", "ra"), preset=name, benchmark=name)]
    (axes,) = plot_accuracy(runs).axes
    (label,) = axes.texts
    assert not axes.title.get_parse_math() and not label.get_parse_math()
    assert label.get_text() == name
    save_plot(runs, tmp_path / "plot.png")
