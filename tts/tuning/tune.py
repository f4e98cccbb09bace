"""Find the preset and parameters that are most often right at one cost.

Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943): every trial solves a quarter of
the problems, the better half of them half of the problems, and the better half of those all. All
trials share their seeds, and a sample that an earlier one drew is not drawn again, so that a trial
costs what is new in it. Who costs more than the limit, a problem on average, is out. The choice is
the finalist with the highest lower bound of its accuracy; the test split is not looked at.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tts.errors import InputError
from tts.evals.calibration.held_out import check_held_out
from tts.evals.run_store import log_of
from tts.evals.runner import Watch, unwatched
from tts.evaluation import Scope, plan_all, run_on
from tts.runtime.runtime import Runtime as Core
from tts.session.runtime import Runtime
from tts.tuning.propose import Optimiser, Proposer
from tts.tuning.space import Point, Space
from tts.types.figures import Summary

_RUNGS = (4, 2, 1)  # parts of the problems that a trial solves: one in four, one in two, all
_LEAST_PROBLEMS = 8
_TOO_DEAR = -1.0  # in place of an accuracy, as Archon has it (arXiv:2409.15254)


@dataclass(frozen=True, slots=True)
class Trial:
    """A point, as far as it was tried.

    Attributes:
        point: It.
        summary: Of its last run, on the most problems.
    """

    point: Point
    summary: Summary

    @property
    def cost(self) -> float:
        """Generated tokens a problem."""
        return self.summary.cost.tokens or 0.0

    @property
    def merit(self) -> tuple[float, float]:
        """Lower bound of the accuracy, then accuracy: a finalist's rank."""
        return self.summary.interval.low, self.summary.accuracy


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        finalists: Those that solved all problems, the best first.
        unchanged: The best of the presets with their own values, which solved all problems too; the
            cheapest where all of them cost too much.
        tried: Points in all.
        spent: Generated tokens, reused ones left out.
        is_within: The unchanged one is within the cost.
    """

    finalists: tuple[Trial, ...]
    unchanged: Trial
    tried: int
    spent: int
    is_within: bool

    @property
    def best(self) -> Trial:
        """The choice: a changed preset only where its bound is above the unchanged one's."""
        rivals = (self.unchanged, *self.finalists) if self.is_within else self.finalists
        return max(rivals, key=lambda trial: trial.merit)


@dataclass(slots=True)
class Search:
    """One search over a space.

    Attributes:
        runtime: Runs the trials, and stays the caller's to close.
        benchmark: Whose problems are solved.
        scope: Which of them.
        cost: Most generated tokens a problem, on average.
        out: Holds the run folders; a search that is begun anew with the same arguments finds its
            finished trials there.
        watch: Shows the progress of a trial.
        spent: Generated tokens so far, reused ones left out.
    """

    runtime: Runtime
    benchmark: str
    scope: Scope
    cost: float
    out: Path
    watch: Watch = unwatched
    spent: int = 0
    _folders: tuple[Path, ...] = ()

    async def run(
        self,
        space: Space,
        *,
        trials: int,
        optimiser: Optimiser = "tpe",
        most_tokens: int | None = None,
        seed: int = 0,
        tell: Callable[[Trial], None] = lambda _: None,
    ) -> Found:
        """Search.

        Args:
            space: What may be chosen.
            trials: Points that are tried at most, beside the unchanged presets.
            optimiser: Who proposes them.
            most_tokens: No further trial begins once so many tokens were generated.
            seed: Of the optimiser.
            tell: Called after every run of a trial.

        Raises:
            InputError: A point cannot run on these engines, the problems are too few or those of
                the test, or every point costs too much.
            EngineError: A model cannot be loaded, or an engine died; what was finished is kept.
        """
        sizes = self._sizes()
        proposer = Proposer(space, optimiser, seed)
        edges = [point.load() for point in space.edges()]
        self.runtime.check(edges)
        async with self.runtime.serving([preset.pipeline for preset in edges]) as core:
            unchanged = [await self._try(core, one, sizes[-1], tell) for one in space.unchanged()]
            tried: list[Trial] = []
            for point in proposer.points():
                if len(tried) == trials or self._is_spent(most_tokens):
                    break
                tried.append(await self._try(core, point, sizes[0], tell))
                is_within = bool(self._within(tried[-1:]))
                proposer.tell(point, tried[-1].summary.accuracy if is_within else _TOO_DEAR)
            finalists = self._within(tried)
            for size in sizes[1:]:
                kept = _better_half(finalists)
                finalists = self._within(
                    [await self._try(core, trial.point, size, tell) for trial in kept]
                )
        best = self._best(unchanged, finalists)
        ranked = sorted(finalists, key=lambda trial: trial.merit, reverse=True)
        within = best.cost <= self.cost
        return Found(tuple(ranked), best, len(tried), self.spent, is_within=within)

    async def test(self, points: Iterable[Point], split: str, limit: int | None) -> list[Summary]:
        """Solve problems of another split, once, by what was chosen."""
        scope = replace(self.scope, split=split, limit=limit)
        chosen = list(points)
        pipelines = [point.load().pipeline for point in chosen]
        async with self.runtime.serving(pipelines) as core:
            return [await self._evaluate(core, point, scope) for point in chosen]

    def _sizes(self) -> list[int]:
        limit = self.scope.limit
        if self.scope.split == "test":
            raise InputError(
                "what is chosen on test problems looks better than it is: search on another "
                "--split, such as calibration or train"
            )
        if limit is None or limit < _LEAST_PROBLEMS:
            raise InputError(f"a search needs --limit, of {_LEAST_PROBLEMS} problems or more")
        return [-(-limit // part) for part in _RUNGS]

    def _within(self, trials: Sequence[Trial]) -> list[Trial]:
        return [trial for trial in trials if trial.cost <= self.cost]

    def _best(self, unchanged: Sequence[Trial], finalists: Sequence[Trial]) -> Trial:
        """Return the best unchanged preset within the cost, else the cheapest.

        Raises:
            InputError: Nothing that was tried is within the cost.
        """
        within, cheapest = self._within(unchanged), min(unchanged, key=lambda trial: trial.cost)
        if not within and not finalists:
            raise InputError(
                f"nothing that was tried costs {self.cost:,.0f} tokens a problem or less; the "
                f"cheapest preset costs {cheapest.cost:,.0f}: allow more, or offer smaller values"
            )
        return max(within, key=lambda trial: trial.merit, default=cheapest)

    def _is_spent(self, most_tokens: int | None) -> bool:
        return most_tokens is not None and self.spent >= most_tokens

    async def _try(
        self, core: Core, point: Point, size: int, tell: Callable[[Trial], None]
    ) -> Trial:
        trial = Trial(point, await self._evaluate(core, point, replace(self.scope, limit=size)))
        tell(trial)
        return trial

    async def _evaluate(self, core: Core, point: Point, scope: Scope) -> Summary:
        plans = plan_all([self.benchmark], point.load(), scope, self.runtime.parts)
        if scope.split != "test":
            check_held_out(plans[0].problems)
        logs = [log_of(folder) for folder in self._folders]
        (summary,) = await run_on(
            core, self.runtime, plans=plans, out=self.out, logs=logs, watch=self.watch
        )
        self._folders = tuple(dict.fromkeys((*self._folders, Path(summary.out))))
        self.spent += (summary.tokens.generated or 0) - summary.tokens.reused
        return summary


def _better_half(trials: Sequence[Trial]) -> list[Trial]:
    """Return the better half, rounded up; the cheaper one where two are equally right."""
    ranked = sorted(trials, key=lambda t: (-t.summary.accuracy, t.cost))
    return ranked[: -(-len(trials) // 2)]
