"""Strategies at equal generated tokens: what is run, and the figures that come of it.

Every cell (method, seed) is a run of `tts eval` in a folder of its own, so that the same command
goes on where it was killed. All methods sample alike (temperature 0.8, at most 1,024 tokens), and
sample i of a problem has the same seed in each. The measure is voting over the samples of
`self_consistency`: its accuracy at k of them, k = 1, 2, 4, ..., is the mean over all subsets, at k
times the mean tokens of a sample; between two sizes the curve is straight in the logarithm of the
tokens (`tts.evals.compare`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

from pydantic import Field

from tts.evals.compare import NothingAtEqualCost, compare, voting_curve
from tts.evals.metrics import Difference, bootstrap_interval
from tts.evals.report import accuracy_by_problem, summary_of
from tts.evals.stored_run import StoredRun
from tts.operators.base import OperatorModel
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.presets.load import Preset, load_preset
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Trajectory, sum_usage
from tts.types.figures import Summary

BASE = "self_consistency"
FIXED = "fixed"
METHODS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "single": ("single", ()),
    BASE: ("self_consistency", ("n={n}",)),
    "early_stop": ("early_stop", ("n={n}",)),
    "adaptive_consistency": ("adaptive_consistency", ("n={n}",)),
    "esc": ("esc", ("n={n}",)),
    "deepconf_online": ("deepconf_online", ("n={n}",)),
    "weighted_vote": ("weighted_vote", ("n={half}", "stop=never", "verifier={verifier}")),
    "best_of_n": ("best_of_n", ("n={half}", "verifier={verifier}")),
    "genselect": ("genselect", ("n={half}",)),
    # The bundled model reads no grades, and knows how to choose.
    "pdr": ("pdr", ("distil=random", "into=choice", "workspace_tokens=1024")),
    "revisions": ("revisions", ()),
    "revisions_verifier": ("revisions_verifier", ("verifier={verifier}",)),
}
STOPPING = ("early_stop", "adaptive_consistency", "esc", "deepconf_online")
PACES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    FIXED: ("self_consistency", ("n={half}",)),
    "streaming": ("early_stop", ("n={half}", "batch=null")),
    "streaming by 4": ("early_stop", ("n={half}", "batch=4")),
    "barrier by 4": ("early_stop", ("n={half}", "batch=4")),
}
TIMED = (*PACES, "best_of_n")
_SAMPLING = ("sampling.temperature=0.8", "sampling.top_p=1.0", "sampling.max_tokens=1024")
_BARRIER = 4
_SEED = 0  # of bootstraps


class Gather(OperatorModel):
    """Holds trajectories back until `size` are there: the barrier that streaming does without."""

    size: int = Field(ge=1)

    @property
    def spec(self) -> Spec:
        """Passes on what comes in."""
        return Spec()

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Send whole batches; the last may be smaller."""
        held: list[Trajectory] = []
        async for trajectory in context.merge(inputs):
            held.append(trajectory)
            if len(held) == self.size:
                for kept in held:
                    outlet.send(kept)
                held.clear()
                await outlet.wanted()
        for kept in held:
            outlet.send(kept)


def method_preset(method: str, samples: int, verifier: str) -> Preset:
    """Return a method's preset.

    Args:
        method: Name in `METHODS` or `PACES`.
        samples: Of the long votes; what scores, compares or is timed takes half.
        verifier: Of the methods that score.
    """
    name, settings = {**METHODS, **PACES}[method]
    half = samples // 2
    overrides = [setting.format(n=samples, half=half, verifier=verifier) for setting in settings]
    preset = replace(load_preset(name, [*overrides, *_SAMPLING]), name=method)
    if method != "barrier by 4":
        return preset
    stop_at = preset.values["parameters"]["stop_at"]
    ballot = vote(stop="settled", stop_at=stop_at)
    drawn = sample(n=half, batch=_BARRIER) >> Pipeline.of(Gather(size=_BARRIER))
    return replace(preset, pipeline=drawn >> ballot, values={**preset.values, "barrier": _BARRIER})


@dataclass(frozen=True, slots=True)
class Row:
    """One method, or one point of the voting curve.

    Attributes:
        method: Its name; the number of voters belongs to a point of the curve.
        accuracy: Share of right answers.
        low: Lower end of its 95 % interval.
        high: Upper end.
        tokens: Generated per problem, comparisons and cancelled samples included.
        scored: Read by a reward model, per problem.
        seconds: Of the whole run; None for a point that was not run by itself.
        gain: Accuracy less the curve's at equal generated tokens; None outside the curve.
    """

    method: str
    accuracy: float
    low: float
    high: float
    tokens: float
    scored: float
    seconds: float | None
    gain: Difference | None


@dataclass(frozen=True, slots=True)
class Saving:
    """A vote that stops early against all its samples: share of tokens saved, accuracy gained."""

    method: str
    tokens: float
    gain: Difference


@dataclass(frozen=True, slots=True)
class Pace:
    """One form of the same adaptive vote, over all rounds.

    Attributes:
        form: Name in `PACES`.
        accuracy: Mean over rounds.
        tokens: Generated per problem, mean over rounds.
        seconds: Of a whole round, median.
        wait: Seconds from a problem's start to its answer, median over problems and rounds.
    """

    form: str
    accuracy: float
    tokens: float
    seconds: float
    wait: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured on one task.

    Attributes:
        task: Benchmark.
        problems: How many.
        rows: The voting curve, then the methods.
        savings: Of votes that stop early.
        paces: Streaming and barrier.
        scoring: Seconds that scoring adds to sampling, as a share of it, one for each round.
    """

    task: str
    problems: int
    rows: tuple[Row, ...]
    savings: tuple[Saving, ...]
    paces: tuple[Pace, ...]
    scoring: tuple[float, ...]


Runs = Mapping[str, Sequence[StoredRun]]  # by method, one for each seed


def task_figures(task: str, runs: Runs) -> Figures:
    """Return the figures of a task from its finished runs."""
    base = runs[BASE][0]
    methods = [method for method in METHODS if method in runs and method != BASE]
    plain, scored = runs.get(FIXED, ()), runs.get("best_of_n", ())
    return Figures(
        task=task,
        problems=len(accuracy_by_problem(base.records)),
        rows=(*curve_rows(base), *(method_row(m, base, runs[m][0]) for m in methods)),
        savings=tuple(saving(m, base, runs[m][0]) for m in STOPPING if m in runs),
        paces=tuple(pace(form, runs[form]) for form in PACES if form in runs),
        scoring=tuple(b.seconds / a.seconds - 1 for a, b in zip(plain, scored, strict=False)),
    )


def curve_rows(base: StoredRun) -> list[Row]:
    """Return voting over 1, 2, 4, ... of the samples; the last was run as it stands."""
    ids = list(accuracy_by_problem(base.records))
    try:
        curve = voting_curve(base, ids, "tokens")
    except NothingAtEqualCost:
        return []
    rows = []
    for size, cost, marks in zip(*curve, strict=True):
        low, high = bootstrap_interval(marks.tolist(), seed=_SEED)
        is_whole = size == curve.sizes[-1]
        seconds = base.seconds if is_whole else None
        name = f"{BASE} {size}"
        rows.append(Row(name, float(marks.mean()), low, high, cost, 0.0, seconds, None))
    return rows


def method_row(method: str, base: StoredRun, run: StoredRun) -> Row:
    """Return a method's figures, against the voting curve."""
    summary = summary_of(run)
    equal = compare(base, run, unit="tokens").equal_cost
    usage = sum_usage(record.usage for record in run.records)
    size = len(run.records)
    return Row(
        method=method,
        accuracy=summary.accuracy,
        low=summary.interval.low,
        high=summary.interval.high,
        tokens=(usage.generated_tokens or 0) / size,
        scored=(usage.scored_tokens or 0) / size,
        seconds=run.seconds,
        gain=None if equal is None else equal.difference,
    )


def saving(method: str, base: StoredRun, run: StoredRun) -> Saving:
    """Return what a vote saves that stops early, against all samples of the same vote."""
    figures = compare(base, run, unit="tokens")
    whole, spent = figures.cost
    return Saving(method, 1 - (spent or 0.0) / (whole or 1.0), figures.difference)


def pace(form: str, runs: Sequence[StoredRun]) -> Pace:
    """Return one form's figures over its rounds."""
    records = [record for run in runs for record in run.records]
    return Pace(
        form=form,
        accuracy=fmean(record.correct is True for record in records),
        tokens=fmean(record.usage.generated_tokens or 0 for record in records),
        seconds=median(run.seconds for run in runs),
        wait=median(record.seconds or 0.0 for record in records),
    )


def plot_summaries(runs: Runs) -> list[Summary]:
    """Return what the plot draws: every method's point, and the curve of the vote alone."""
    summaries = []
    for method in METHODS:
        if method in runs:
            summary = summary_of(runs[method][0])
            summaries.append(summary if method == BASE else replace(summary, maj_at_k={}))
    return summaries


def markdown(figures: Sequence[Figures], caption: str) -> str:
    """Return the tables of the README."""
    parts = [caption]
    for task in figures:
        parts.append(_markdown_table(task))
    return "\n\n".join(parts)


def replace_between(text: str, begin: str, end: str, new: str, path: Path) -> str:
    """Return a text with what stands between two marker lines replaced.

    Raises:
        ValueError: The markers are not there once each, in this order.
    """
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{path}: put the lines {begin} and {end} where the table belongs")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    return f"{before}{begin}\n{new}\n{end}{after}"


def _markdown_table(figures: Figures) -> str:
    heads = ("strategy", "accuracy", "95 %", "tokens", "scored", "seconds", "against voting")
    lines = [
        f"`{figures.task}`, {figures.problems} problems:",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
    ]
    lines += [f"| {' | '.join(row_cells(row))} |" for row in figures.rows]
    return "\n".join(lines)


def row_cells(row: Row) -> tuple[str, ...]:
    """Return a row as text."""
    return (
        row.method,
        f"{row.accuracy:.1%}",
        f"{100 * row.low:.0f}-{100 * row.high:.0f}",
        f"{row.tokens:,.0f}",
        f"{row.scored:,.0f}" if row.scored else "",
        "" if row.seconds is None else f"{row.seconds:,.0f}",
        "" if row.gain is None else points(row.gain),
    )


def points(gain: Difference) -> str:
    """Return a difference of accuracies in percentage points, with its interval."""
    return f"{100 * gain.mean:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
