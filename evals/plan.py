"""What is to be run: one benchmark by one preset, checked before a token is spent."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tts.errors import BudgetError, InputError, ProblemError
from tts.evals.stored_run import facts_of, find_finished
from tts.parts.files import files_named, with_digests
from tts.presets.load import Preset
from tts.protocols import Engine, EngineFacts, Verifier
from tts.runtime.checks import check_job
from tts.runtime.job import Job
from tts.runtime.ledger import MIN_TOKENS, Ledger
from tts.types import Answer, Budget, Grade, ModelInfo, Problem, StateSpec
from tts.types.figures import Summary


@dataclass(frozen=True, slots=True)
class Plan:
    """One benchmark by one preset: what fills one run folder.

    Attributes:
        benchmark: Its name.
        problems: In order; ids are unique.
        grade: Compares an answer with a problem's reference.
        preset: How they are solved.
        seed: Repeat r runs with seed + r.
        repeats: How often each problem is solved.
        budget: Per problem, in place of the preset's.
        run_budget: For everything together.
        options: What else decides the figures: the kind of engine (`engine`: vllm, openai, replay),
            which must be there, and the split.
        states: Hidden states that its log keeps of samples; None for those that its verifiers read.
            They decide no figure.
        made_of: What decides the outputs of its engines, told before they start, as
            `tts.Runtime.made_of` tells it; None for unknown.
    """

    benchmark: str
    problems: tuple[Problem, ...]
    grade: Callable[[Problem, Answer], Grade]
    preset: Preset
    seed: int = 0
    repeats: int = 1
    budget: Budget | None = None
    run_budget: Budget | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    states: StateSpec | None = None
    made_of: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse an empty plan, problems that could not be told apart, and an unnamed engine."""
        if not self.problems:
            raise ProblemError(f"{self.benchmark}: no problems to solve")
        if not isinstance(self.options.get("engine"), str):
            raise InputError(
                f"{self.benchmark}: the plan's options do not say by what kind of engine it is "
                'run; add "engine": "vllm", "openai" or "replay" (recorded samples)'
            )
        seen: set[str] = set()
        for problem in self.problems:
            if problem.id in seen:
                raise ProblemError(f"{self.benchmark}: two problems have the id {problem.id!r}")
            seen.add(problem.id)

    @property
    def size(self) -> int:
        """Number of problems times repeats."""
        return len(self.problems) * self.repeats

    def config(
        self,
        engine: Engine,
        others: Mapping[str, Engine] | None = None,
        verifiers: Mapping[str, Verifier] | None = None,
    ) -> dict[str, Any]:
        """Return all that decides the run's figures; another value means another folder.

        Args:
            engine: The run's own.
            others: Further ones that the preset asks, by name.
            verifiers: By name; those that the preset asks are noted with the model that they read.
        """
        asked = {name: other.info.fingerprint for name, other in (others or {}).items()}
        return {
            **self.asked(),
            "model": engine.info.name,
            "fingerprint": engine.info.fingerprint,
            **({"engines": asked} if asked else {}),
            "verifiers": self._models_of(verifiers or {}),
        }

    def asked(self) -> dict[str, Any]:
        """Return the part of `config` that is known before an engine has started."""
        samplers = {e for _, node in self.preset.pipeline for e in node.operator.spec.engines}
        graph = self.preset.pipeline.to_mapping()
        files = files_named([graph, self.preset.values])
        return {
            "benchmark": self.benchmark,
            "preset": self.preset.name,
            "preset_values": dict(self.preset.values),
            **({"files": sorted(files.items())} if files else {}),
            "pipeline_digest": _digest_of(with_digests(graph, files)),
            "budget": str(self._budget),
            "run_budget": str(self.run_budget or Budget()),
            "seed": self.seed,
            "repeats": self.repeats,
            "problems": len(self.problems),
            "problems_digest": _digest(self.problems),
            **({"samplers": sorted(samplers)} if samplers else {}),
            **self.options,
        }

    def finished(self, root: Path) -> Summary | None:
        """Return the figures of a run that has done all of this on such engines; None for none.

        Args:
            root: Holds the folders of runs.
        """
        return None if self.made_of is None else find_finished(root, self.asked(), self.made_of)

    def jobs(self) -> Iterator[Job]:
        """Yield every problem of the first repeat, then those of the next."""
        for place in range(self.size):
            repeat, index = divmod(place, len(self.problems))
            yield Job(
                pipeline=self.preset.pipeline,
                problem=self.preset.prompted(self.problems[index]),
                sampling=self.preset.sampling,
                seed=self.seed + repeat,
                budget=self._budget,
                preset=self.preset.name,
                priority=place,
                states=self.states,
            )

    def check(
        self,
        engine: Engine,
        verifiers: Mapping[str, Verifier],
        engines: Mapping[str, Engine] | None = None,
    ) -> None:
        """Refuse what cannot run on these engines, before a token is spent.

        Args:
            engine: The run's own.
            verifiers: By name.
            engines: The run's others, by name.

        Raises:
            CapabilityError: The engine lacks something.
            PipelineError: A verifier is missing, or its scores do not fit.
            BudgetError: A budget cannot be counted, or buys not even one sample.
            ProblemError: The engine only replays samples, and has none of a problem.
        """
        known = {"": engine, **(engines or {})}
        check_job(next(self.jobs()), known, verifiers, self.run_budget or Budget())
        for name in sorted(self.preset.pipeline.engines(verifiers)):
            self._check_recorded(known[name])
        self.check_budget(engine.info)

    def _check_recorded(self, engine: Engine) -> None:
        """Refuse problems of which an engine that only replays samples has none."""
        if missing := [problem.id for problem in self.problems if not engine.holds(problem)]:
            raise ProblemError(
                f"{engine.info.name} is recorded and has no samples of {len(missing)} of "
                f"{len(self.problems)} problems, such as {missing[0]!r}; its own are those of the "
                "benchmark pool"
            )

    def check_budget(self, info: ModelInfo | None = None) -> None:
        """Refuse budgets that cannot give every problem one sample, however short.

        Args:
            info: Of the run's model; None counts only what needs no model, tokens and calls.

        Raises:
            BudgetError: A budget is too small.
        """
        shortest = min(MIN_TOKENS, self.preset.sampling.max_tokens)

        def bought(budget: Budget, n: int) -> int:
            counted = budget if info else Budget(tokens=budget.tokens, calls=budget.calls)
            model = info or ModelInfo(name="", fingerprint="")
            return Ledger(counted).reserve(model, n=n, max_tokens=shortest).n

        if not bought(self._budget, 1):
            raise BudgetError(
                f"the budget {self._budget} is too small for one sample, which takes at least "
                f"{shortest} generated tokens"
            )
        run_budget = self.run_budget or Budget()
        if (afforded := bought(run_budget, self.size)) < self.size:
            raise BudgetError(
                f"the run's budget of {run_budget} is enough for {afforded} of {self.size} "
                f"problems, each with one sample of {shortest} generated tokens; raise it, or "
                "solve fewer"
            )

    def _models_of(self, verifiers: Mapping[str, Verifier]) -> dict[str, dict[str, str] | None]:
        """Return name and fingerprint of the reward model of each verifier; None without one."""
        asked = sorted(self.preset.pipeline.verifiers(verifiers))
        models = {name: verifiers[name].spec.model for name in asked if name in verifiers}
        return {
            name: None if info is None else {"model": info.name, "fingerprint": info.fingerprint}
            for name, info in models.items()
        }

    @property
    def _budget(self) -> Budget:
        return self.budget or self.preset.budget


def known_engines(plans: Iterable[Plan], logs: Sequence[Path]) -> dict[str, EngineFacts]:
    """Return what engines of plans told of themselves in other runs; they need not start at once.

    Where time is limited they do: no run counts the time of loading, but no deadline waits for it.

    Args:
        plans: What is to be run.
        logs: Generations of the other runs.

    Returns:
        By the name of the engine.
    """
    known: dict[str, EngineFacts] = {}
    for plan in plans:
        if any(budget and budget.seconds for budget in (plan._budget, plan.run_budget)):
            return {}
        if plan.made_of is not None:
            for log in logs:
                known |= facts_of(log, plan.made_of)
    return known


def _digest_of(graph: Mapping[str, Any]) -> str:
    """Return a hash of a pipeline, which may hold what a file (a policy) said at the time."""
    text = json.dumps(graph, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _digest(problems: Iterable[Problem]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for problem in problems:
        facts = (problem.id, problem.statement, problem.reference, problem.answer_type)
        messages = [asdict(message) for message in problem.messages]
        digest.update(repr((facts, messages)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
