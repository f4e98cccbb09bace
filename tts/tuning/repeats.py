"""The same search from several seeds, by several optimisers: what their choices are worth.

One search says little of an optimiser: another seed draws other samples and proposes other points.
All optimisers search with the same seeds, and what one has run the next one finds, so that they
differ in what they propose alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from tts.evals.metrics import Difference, bootstrap_interval, mean_difference
from tts.evals.report import accuracy_by_problem
from tts.evals.stored_run import load_run
from tts.tuning.propose import Optimiser
from tts.tuning.space import Space
from tts.tuning.trial import Trial
from tts.tuning.tune import Found, Search
from tts.types.figures import Interval


@dataclass(frozen=True, slots=True)
class Standing:
    """A preset on the test problems.

    Attributes:
        correct: 1 for each problem that was solved and 0 for the others, by its id.
        cost: Of a problem.
    """

    correct: Mapping[str, float]
    cost: float

    @property
    def accuracy(self) -> float:
        """Share of problems that were solved."""
        return fmean(self.correct.values())


@dataclass(frozen=True, slots=True)
class Repeat:
    """One search, and its test.

    Attributes:
        found: What it found.
        unchanged: The best preset as it was, on the test problems.
        choice: The choice on these.
    """

    found: Found
    unchanged: Standing
    choice: Standing


class Worth(NamedTuple):
    """What an optimiser's choices are worth on the test problems.

    Attributes:
        accuracy: Mean over the seeds.
        interval: Of that mean, a 95 % bootstrap over the seeds.
        cost: Of a problem, mean over the seeds.
        changed: Searches that chose a changed preset.
    """

    accuracy: float
    interval: Interval
    cost: float
    changed: int


class Gain(NamedTuple):
    """A difference of accuracies, second less first, the mean over seeds and problems.

    Attributes:
        by_seed: With the interval over seeds, the test problems being what they are.
        by_problem: With the interval over test problems, the seeds being what they are.
    """

    by_seed: Difference
    by_problem: Difference


@dataclass(frozen=True, slots=True)
class Repeats:
    """The same search from several seeds, each in a folder of its own.

    Attributes:
        search: It, with any seed; its folder holds theirs.
        space: What may be chosen.
        trials: Points that each tries at most.
        test: Test problems.
        most_tokens: Of each search; no limit if None.
        tell: Called after every run of a trial.
    """

    search: Search
    space: Space
    trials: int
    test: int
    most_tokens: int | None
    tell: Callable[[Trial], None]

    async def run(
        self, optimisers: Sequence[Optimiser], seeds: Sequence[int]
    ) -> dict[Optimiser, list[Repeat]]:
        """Search and test, by optimiser, in the order of the seeds.

        Raises:
            InputError: As of `Search.run`, and the test split has too few problems.
            EngineError: A model cannot be loaded, or an engine died; what was finished is kept.
        """
        repeats: dict[Optimiser, list[Repeat]] = {name: [] for name in optimisers}
        for seed in seeds:
            for name in optimisers:
                repeats[name].append(await self._repeat(name, seed, optimisers))
        return repeats

    async def _repeat(
        self, optimiser: Optimiser, seed: int, optimisers: Sequence[Optimiser]
    ) -> Repeat:
        scope = replace(self.search.scope, seed=seed)
        out = self.search.out / f"seed-{seed}"
        search = replace(self.search, scope=scope, out=out)
        found = await search.run(
            self.space,
            trials=self.trials,
            optimiser=optimiser,
            most_tokens=self.most_tokens,
            seed=seed,
            beside=optimisers,
            tell=self.tell,
        )
        points = (found.unchanged.point, found.best.point)
        runs = await search.test(dict.fromkeys(points), "test", self.test)
        standings = [
            Standing(
                accuracy_by_problem(load_run(Path(run.out)).records),
                run.cost.of(search.unit) or 0.0,
            )
            for run in runs
        ]
        return Repeat(found, standings[0], standings[-1])


def worth(standings: Sequence[Standing], changed: int = 0) -> Worth:
    """Return what presets are worth, one for each seed."""
    accuracies = [one.accuracy for one in standings]
    cost = fmean(one.cost for one in standings)
    return Worth(fmean(accuracies), bootstrap_interval(accuracies, seed=0), cost, changed)


def gain(first: Sequence[Standing], second: Sequence[Standing]) -> Gain:
    """Return what the second presets gain over the first, pair by pair of one seed's.

    Raises:
        ValueError: They are not as many, or not on the same problems.
    """
    pairs = list(zip(first, second, strict=True))
    ids = list(first[0].correct)
    differences = [{name: b.correct[name] - a.correct[name] for name in ids} for a, b in pairs]
    by_seed = [fmean(one.values()) for one in differences]
    by_problem = [fmean(one[name] for one in differences) for name in ids]
    return Gain(mean_difference(by_seed, seed=0), mean_difference(by_problem, seed=0))
