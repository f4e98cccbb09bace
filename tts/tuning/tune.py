"""Find the preset and parameters that are most often right at one cost.

Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943): every trial solves a quarter of
the problems, the better half of them half of the problems, and the better half of those all. All
trials share their seeds, and a sample that an earlier one drew is not drawn again, so that a trial
costs what is new in it. Who costs more than the limit, a problem on average, is out. The choice is
the finalist with the highest lower bound of its accuracy; the test split is not looked at. In a
space of graphs the first quarter, on which these are learned, counts no more from then on.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tts.errors import InputError
from tts.evals.calibration.held_out import check_held_out
from tts.evals.progress import Watch, unwatched
from tts.evals.stored_run import log_of
from tts.evals.units import amount, why_unknown
from tts.evaluation import Scope, plan_all, run_on
from tts.presets.load import Preset
from tts.runtime.runtime import Runtime as Core
from tts.session.runtime import Runtime
from tts.tuning.asking import Asker
from tts.tuning.graphs import Graph
from tts.tuning.language import LanguageProposer
from tts.tuning.models import LAST
from tts.tuning.propose import TOO_DEAR, Optimiser, OptunaProposer, Proposer
from tts.tuning.reinforce import GraphProposer
from tts.tuning.space import Point, Space
from tts.tuning.trial import Trial
from tts.types.figures import Summary, Unit

_RUNGS = (4, 2, 1)  # parts of the problems that a trial solves: one in four, one in two, all
_LEAST_PROBLEMS = 8


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
        notes: What the optimiser says of its proposals.
    """

    finalists: tuple[Trial, ...]
    unchanged: Trial
    tried: int
    spent: int
    is_within: bool
    notes: tuple[str, ...] = ()

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
        cost: Most that a problem may cost, on average.
        out: Holds the run folders; a search that is begun anew with the same arguments finds its
            finished trials there.
        unit: In which that is counted.
        watch: Shows the progress of a trial.
        spent: Generated tokens so far, reused ones left out.
    """

    runtime: Runtime
    benchmark: str
    scope: Scope
    cost: float
    out: Path
    unit: Unit = "tokens"
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
        beside: Collection[Optimiser] = (),
        tell: Callable[[Trial], None] = lambda _: None,
    ) -> Found:
        """Search.

        Args:
            space: What may be chosen.
            trials: Points that are tried at most, beside the unchanged presets.
            optimiser: Who proposes them.
            most_tokens: No further trial begins once so many tokens were generated.
            seed: Of the optimiser; `llm` asks the engine `optimiser` of the run, or else its own.
            beside: Optimisers that search with the same engines; whom they ask is there unasked.
            tell: Called after every run of a trial.

        Raises:
            InputError: A point cannot run on these engines, the problems are too few or those of
                the test, every point costs too much, what costs are counted in is not known, or the
                optimiser does not fit the space.
            EngineError: A model cannot be loaded, or an engine died; what was finished is kept.
        """
        parts = self._parts(space)
        check_optimiser(optimiser, space)
        asker = Asker.of(self.runtime, self.out, seed)
        proposer = self._proposer(space, optimiser, seed, asker)
        edges = self._edges(space)
        asking = [*edges, asker.preset]
        self.runtime.check(asking if "llm" in (optimiser, *beside) else edges)
        served = asking if optimiser == "llm" else edges
        async with self.runtime.serving([preset.pipeline for preset in served]) as core:
            unchanged = [await self._try(core, one, parts[-1], tell) for one in space.unchanged()]
            for trial in unchanged:
                proposer.tell(trial, self._score(trial))
            tried: list[Trial] = []
            while len(tried) < trials and not self._is_spent(most_tokens):
                point = await proposer.propose()
                if point is None:
                    break
                tried.append(await self._try(core, point, parts[0], tell))
                proposer.tell(tried[-1], self._score(tried[-1]))
            finalists = self._within(tried)
            for part in parts[1:]:
                kept = _better_half(finalists)
                finalists = self._within(
                    [await self._try(core, trial.point, part, tell) for trial in kept]
                )
        best = self._best(unchanged, finalists)
        ranked = sorted(finalists, key=lambda trial: trial.merit, reverse=True)
        within = best.cost <= self.cost
        notes = tuple(proposer.notes)
        return Found(tuple(ranked), best, len(tried), self.spent, is_within=within, notes=notes)

    async def test(self, points: Iterable[Point], split: str, limit: int | None) -> list[Summary]:
        """Solve problems of another split, once, by what was chosen."""
        scope = replace(self.scope, split=split, limit=limit)
        chosen = list(points)
        pipelines = [point.load().pipeline for point in chosen]
        async with self.runtime.serving(pipelines) as core:
            return [await self._evaluate(core, point, scope) for point in chosen]

    def _edges(self, space: Space) -> list[Preset]:
        """Return presets that together hold every value and ask every engine."""
        edges = [point.load() for point in space.edges()]
        if space.models is not None:
            slots = space.models.slots([1] * len(space.models.prices))
            whole = Graph(slots, frozenset((slot, LAST) for slot in slots))
            edges.append(whole.point(self._graphs).load())
        return edges

    @property
    def _graphs(self) -> Path:
        return self.out / "graphs"

    def _proposer(self, space: Space, optimiser: Optimiser, seed: int, asker: Asker) -> Proposer:
        if space.models is not None:
            learns = optimiser == "reinforce"
            return GraphProposer(space.models, seed, folder=self._graphs, learns=learns)
        if optimiser != "llm":
            return OptunaProposer(space, optimiser, seed)

        async def ask(name: str, text: str) -> str:
            said, tokens = await asker.ask(name, text)
            self.spent += tokens
            return said

        limit = f"{amount(self.cost)} {self.unit}"
        return LanguageProposer(space, seed, ask=ask, limit=limit)

    def _parts(self, space: Space) -> list[Scope]:
        """Return the problems of each rung; those of the last decide.

        What graphs are drawn from is learned on the first ones, so that these decide nothing.
        """
        limit = self.scope.limit
        if self.scope.split == "test":
            raise InputError(
                "what is chosen on test problems looks better than it is: search on another "
                "--split, such as calibration or train"
            )
        if limit is None or limit < _LEAST_PROBLEMS:
            raise InputError(f"a search needs --limit, of {_LEAST_PROBLEMS} problems or more")
        sizes = [-(-limit // part) for part in _RUNGS]
        first = sizes[0] if space.models is not None else 0
        rungs = [replace(self.scope, skip=first, limit=size - first) for size in sizes[1:]]
        return [replace(self.scope, limit=sizes[0]), *rungs]

    def _score(self, trial: Trial) -> float:
        return trial.summary.accuracy if self._within([trial]) else TOO_DEAR

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
                f"nothing that was tried costs {amount(self.cost)} {self.unit} a problem or less; "
                f"the cheapest preset costs {amount(cheapest.cost)}: allow more, or offer smaller "
                "values"
            )
        return max(within, key=lambda trial: trial.merit, default=cheapest)

    def _is_spent(self, most_tokens: int | None) -> bool:
        return most_tokens is not None and self.spent >= most_tokens

    async def _try(
        self, core: Core, point: Point, scope: Scope, tell: Callable[[Trial], None]
    ) -> Trial:
        summary = await self._evaluate(core, point, scope)
        if summary.cost.of(self.unit) is None:
            raise InputError(f"{self.unit} a problem are not known: {why_unknown(self.unit)}")
        trial = Trial(point, summary, self.unit)
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


def check_optimiser(optimiser: Optimiser, space: Space) -> None:
    """Refuse an optimiser that does not search such a space.

    Raises:
        InputError: It does not.
    """
    if space.models is None and optimiser == "reinforce":
        raise InputError(
            "--optimiser reinforce searches graphs of models; the space has no 'graph'"
        )
    if space.models is not None and optimiser not in ("reinforce", "random"):
        raise InputError(
            f"a space with a 'graph' is searched by --optimiser reinforce or random, not by "
            f"{optimiser}"
        )


def _better_half(trials: Sequence[Trial]) -> list[Trial]:
    """Return the better half, rounded up; the cheaper one where two are equally right."""
    ranked = sorted(trials, key=lambda t: (-t.summary.accuracy, t.cost))
    return ranked[: -(-len(trials) // 2)]
