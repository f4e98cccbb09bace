"""What is to be done with one problem."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self

from tts.budget import to_budget
from tts.errors import InputError
from tts.pipeline import Pipeline
from tts.types import Budget, Problem, Sampling, StateSpec


class Recipe(Protocol):
    """A pipeline with what belongs to it, as a preset is one."""

    @property
    def name(self) -> str:
        """For results."""
        ...

    @property
    def pipeline(self) -> Pipeline:
        """The graph."""
        ...

    @property
    def sampling(self) -> Sampling:
        """How its requests are drawn."""
        ...

    @property
    def budget(self) -> Budget:
        """Hard limits for each problem."""
        ...

    def prompted(self, problem: Problem) -> Problem:
        """Return a problem with what is said around it."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What to do with one problem.

    Attributes:
        pipeline: The graph.
        problem: The problem.
        sampling: Sampling profile of its requests.
        seed: The run's seed.
        budget: Hard limits for this problem.
        preset: Name for the result.
        priority: Lower is served first; the problem's place in the run.
        states: Hidden states that are kept of completions; None for those that its verifiers read.

    Raises:
        InputError: An argument has another type.
    """

    pipeline: Pipeline
    problem: Problem
    sampling: Sampling
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    preset: str = "pipeline"
    priority: int = 0
    states: StateSpec | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be run, before an engine starts."""
        _check_type("pipeline", self.pipeline, Pipeline, "sample(n=8) >> vote() makes one")
        _check_type("problem", self.problem, Problem, 'write Problem(id="p", statement="...")')
        _check_type("sampling", self.sampling, Sampling, "write Sampling(temperature=0.8)")
        _check_type("seed", self.seed, int, "write a whole number")
        _check_type("budget", self.budget, Budget, "write Budget(tokens=8000)")

    @classmethod
    def of(
        cls,
        what: Pipeline | Recipe,
        problem: Problem | str,
        *,
        sampling: Sampling | None = None,
        budget: Budget | str | None = None,
        seed: int = 0,
        priority: int = 0,
    ) -> Self:
        """Return the job of solving a problem by a pipeline or a preset.

        Args:
            what: A pipeline, or a preset, whose sampling, budget and name are used.
            problem: A problem, or its text.
            sampling: In place of the preset's.
            budget: In place of the preset's: a `Budget`, or text such as "8k".
            seed: The run's seed.
            priority: Lower is served first.

        Raises:
            InputError: An argument has another type or cannot be read, or the problem is empty.
        """
        recipe = _to_recipe(what)
        limits = to_budget(budget)
        return cls(
            pipeline=recipe.pipeline,
            problem=recipe.prompted(to_problem(problem)),
            sampling=recipe.sampling if sampling is None else sampling,
            seed=seed,
            budget=recipe.budget if limits is None else limits,
            preset=recipe.name,
            priority=priority,
        )

    @classmethod
    def of_all(
        cls,
        what: Pipeline | Recipe,
        problems: Iterable[Problem | str],
        *,
        sampling: Sampling | None = None,
        budget: Budget | str | None = None,
        seed: int = 0,
    ) -> Iterator[Self]:
        """Yield a job for each problem, those before served first; see `of`.

        A problem that is given as text is named by its place, "problem 0" and so on.
        """
        if isinstance(problems, str | Problem) or not isinstance(problems, Iterable):
            raise InputError(
                f"problems are a list of them, got {_shown(problems)}; write [problem]"
            )
        recipe, limits = _to_recipe(what), to_budget(budget)
        return (
            cls.of(
                recipe,
                to_problem(problem, id=f"problem {place}"),
                sampling=sampling,
                budget=limits,
                seed=seed,
                priority=place,
            )
            for place, problem in enumerate(problems)
        )


@dataclass(frozen=True, slots=True)
class _Plain:
    """A pipeline without a preset."""

    pipeline: Pipeline
    name: str = "pipeline"
    sampling: Sampling = field(default_factory=lambda: Sampling(leaves_room=True))
    budget: Budget = field(default_factory=Budget)

    def prompted(self, problem: Problem) -> Problem:
        """Return the problem: nothing is said around it."""
        return problem


def to_problem(problem: Problem | str, *, id: str = "problem") -> Problem:
    """Return a problem that may be given as its text.

    Raises:
        InputError: It is neither, or it is empty.
    """
    found = Problem(id=id, statement=problem) if isinstance(problem, str) else problem
    _check_type("problem", found, Problem, 'write its text, or Problem(id="p", statement="...")')
    if not found.statement.strip() and not found.messages:
        raise InputError(f"the problem is empty: {found.id!r} has neither statement nor messages")
    return found


def _to_recipe(what: Pipeline | Recipe) -> Recipe:
    if isinstance(what, Pipeline):
        return _Plain(what)
    if isinstance(getattr(what, "pipeline", None), Pipeline):
        return what
    raise InputError(
        f"what solves a problem is a pipeline or a preset, got {_shown(what)}; "
        "sample(n=8) >> vote() makes a pipeline, load_preset(NAME) gives a preset"
    )


def _check_type(name: str, value: object, wanted: type, hint: str) -> None:
    is_flag = isinstance(value, bool) and wanted is int
    if not isinstance(value, wanted) or is_flag:
        raise InputError(f"{name}: expected {wanted.__name__}, got {_shown(value)}; {hint}")


def _shown(value: object) -> str:
    text = repr(value)
    short = text if len(text) <= 40 else f"{text[:39]}…"
    return f"{short} ({type(value).__name__})"
