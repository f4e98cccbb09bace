"""Benchmarks by presets: what `tts.evaluate` and `tts eval` do."""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

from tts.budget import to_budget
from tts.engine.spec import EngineSpec
from tts.errors import InputError, ProblemError
from tts.evals.calibration.held_out import check_apart
from tts.evals.calibration.share import with_share
from tts.evals.plan import known_engines
from tts.evals.progress import Watch, unwatched
from tts.evals.runner import Plan, evaluate_all
from tts.evals.stored_run import log_of
from tts.parts.build import build_part, content_of, parameters_of, reads_file
from tts.pipeline import Pipeline
from tts.presets.load import Preset
from tts.runtime.runtime import Runtime as Core
from tts.session.arguments import (
    to_int,
    to_mapping,
    to_model,
    to_names,
    to_paths,
    to_text,
    to_texts,
)
from tts.session.kept import SESSION
from tts.session.opening import Parts
from tts.session.runtime import DEFAULT_MODEL, DEFAULT_PRESET, Runtime
from tts.sweeps import variants
from tts.types import Budget, Problem
from tts.types.figures import Summary

POOL = "pool"  # the benchmark whose problems are those of the recorded samples


def evaluate(
    benchmarks: Sequence[str] | str,
    presets: Sequence[Preset | Pipeline | str] | Preset | Pipeline | str = DEFAULT_PRESET,
    *,
    model: str = DEFAULT_MODEL,
    engine_args: Mapping[str, Any] | None = None,
    engines: Mapping[str, str] | None = None,
    models: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    data: Path | str | None = None,
    map: Mapping[str, str] | None = None,
    split: str = "test",
    limit: int | str | None = None,
    ids: Sequence[str] = (),
    shuffle: int | None = None,
    epochs: int = 1,
    seed: int = 0,
    budget: Budget | str | None = None,
    run_budget: Budget | str | None = None,
    out: Path | str = "runs",
    reuse: Sequence[Path | str] = (),
    unsafe_execution: bool = False,
    ray: str | None = None,
) -> list[Summary]:
    """Solve benchmarks by presets, and return the figures of each run.

        (alone, voted) = tts.evaluate("chain", ["single", "self_consistency"], limit=100)
        print(voted.accuracy - alone.accuracy)

    Each benchmark by each preset is a run with a folder of its own below `out`, as `tts eval`
    leaves it. The same call again goes on where it was interrupted. Engines are kept as those of
    `solve` are.

    Args:
        benchmarks: One or several by name, such as "chain" or "math500".
        presets: One or several: names, files, loaded presets or pipelines.
        model: The engine, as `solve` takes it.
        engine_args: Its options; "NAME.option" is one of another engine.
        engines: Further engines that presets ask, by name: `{"draft": "bundled:draft"}`.
        models: Model by verifier name.
        overrides: Changes to presets that are given by name; "n=4,8,16" makes three runs of each.
        data: JSON Lines, CSV, TSV or Parquet in place of the benchmark's download. Without it, a
            copy is looked for in the folder that the environment's TTS_DATA_DIR names.
        map: Our name by a column's in `data`: `{"question": "problem", "target": "answer"}`.
        split: Part of the benchmark.
        limit: Only so many problems, the first; "11-20" those places, counted from 1.
        ids: Only the problems of these ids.
        shuffle: Seed by which the problems are shuffled before `limit` takes its part.
        epochs: How often each problem is solved; epoch e runs with seed + e.
        seed: The same seed gives the same samples.
        budget: Hard limits for each problem, in place of the preset's.
        run_budget: Hard limits for each run as a whole.
        out: Holds the run folders.
        reuse: Run folders whose samples are not drawn again; a model of this machine is loaded
            only for what is missing.
        unsafe_execution: Run code, to score or to grade it, even where nothing isolates it.
        ray: Address of a Ray cluster that runs the embedded engines, as `tts.Runtime` takes it.

    Returns:
        One summary for each benchmark and preset, presets within benchmarks.

    Raises:
        InputError: An argument is wrong, or a preset cannot run on these engines.
        EngineError: A model cannot be loaded, or the engine died; what was finished is kept.
    """
    runtime = Runtime(
        to_model(model),
        engine_args=engine_args,
        engines=engines,
        models=models,
        unsafe_execution=unsafe_execution,
        ray=ray,
    )
    scope = Scope.of(
        data=data,
        map=map,
        split=split,
        limit=limit,
        ids=ids,
        shuffle=shuffle,
        epochs=epochs,
        seed=seed,
        budget=budget,
        run_budget=run_budget,
    )
    names = to_names(benchmarks)
    plans = plan_all(names, presets, scope, runtime.parts, overrides=overrides)
    folder = Path(to_text(out, "out", "a folder"))
    logs = [log_of(run) for run in to_paths(reuse, "reuse")]
    return SESSION.call(runtime, partial(run_plans, plans=plans, out=folder, logs=logs))


@dataclass(frozen=True, slots=True)
class Scope:
    """Which problems are solved, how often, and within which limits.

    Attributes:
        data: A file in place of the benchmark's download.
        map: Our name by a column's in `data`.
        split: Part of the benchmark; None is the one that the benchmark has for this purpose.
        skip: Problems that are left out at the beginning.
        limit: Only so many of those that follow; None is all.
        ids: Only the problems of these ids; all if empty.
        shuffle: Seed by which problems are shuffled before `limit` takes its part.
        epochs: How often each is solved.
        seed: Of the first epoch.
        budget: For each problem, in place of the preset's.
        run_budget: For each run as a whole.
    """

    data: Path | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    split: str = "test"
    skip: int = 0
    limit: int | None = None
    ids: tuple[str, ...] = ()
    shuffle: int | None = None
    epochs: int = 1
    seed: int = 0
    budget: Budget | None = None
    run_budget: Budget | None = None

    @classmethod
    def of(
        cls,
        *,
        data: object = None,
        map: object = None,
        split: object = "test",
        limit: object = None,
        ids: object = (),
        shuffle: object = None,
        epochs: object = 1,
        seed: object = 0,
        budget: Budget | str | None = None,
        run_budget: Budget | str | None = None,
    ) -> Self:
        """Check what a user gave.

        Raises:
            InputError: A value is of the wrong type or too small.
        """
        skip, number = _to_places(limit)
        return cls(
            data=None if data is None else Path(to_text(data, "data", "a file")),
            map=to_mapping(map, "map", '{"question": "problem"}'),
            split=to_text(split, "split", "a name"),
            skip=skip,
            limit=number,
            ids=tuple(to_texts(ids, "ids", "such as ['gsm8k-test-3']")),
            shuffle=None if shuffle is None else to_int(shuffle, "shuffle"),
            epochs=to_int(epochs, "epochs", least=1),
            seed=to_int(seed, "seed"),
            budget=to_budget(budget),
            run_budget=to_budget(run_budget, name="run_budget"),
        )

    def of_problems(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Return the problems that are solved, in order.

        Raises:
            ProblemError: One of the ids is not among them.
        """
        if self.ids or self.shuffle is not None:
            found = {problem.id: problem for problem in problems}
            if missing := [name for name in self.ids if name not in found]:
                raise ProblemError(
                    f"there is no problem {missing[0]!r} in the split {self.split!r}"
                )
            chosen = [found[name] for name in self.ids] if self.ids else list(found.values())
            if self.shuffle is not None:
                random.Random(self.shuffle).shuffle(chosen)
            problems = chosen
        end = None if self.limit is None else self.skip + self.limit
        return tuple(islice(problems, self.skip, end))

    def check(self, benchmarks: Sequence[str]) -> None:
        """Refuse data for several benchmarks.

        Raises:
            InputError: They are several.
        """
        if self.data is not None and len(benchmarks) > 1:
            raise InputError(f"{self.data}: data belong to one benchmark; name one")


def plan_all(
    benchmarks: Sequence[str],
    presets: object,
    scope: Scope,
    parts: Parts,
    *,
    overrides: Sequence[str] = (),
) -> list[Plan]:
    """Load all that runs need, before an engine starts: one plan for each benchmark and preset.

    Args:
        benchmarks: By name.
        presets: One or several, as `tts.evaluate` takes them.
        scope: Which problems.
        parts: Engines and verifiers of the runs.
        overrides: Changes to presets that are given by name.

    Raises:
        InputError: A benchmark, a preset or the data cannot be used.
    """
    scope.check(benchmarks)
    given = presets if isinstance(presets, list | tuple) else [presets]
    if not given:
        raise InputError("presets: name at least one preset")
    loaded = variants(given, overrides, parts.models)
    return [plan for name in benchmarks for plan in _plans_of(name, loaded, scope, parts)]


def _plans_of(name: str, presets: Sequence[Preset], scope: Scope, parts: Parts) -> list[Plan]:
    own = parts.own
    pool = own.pool if name == POOL and isinstance(own, EngineSpec) else None
    options: dict[str, Any] = {"data": scope.data if pool is None else Path(pool)}
    if scope.map:
        options["map"] = dict(scope.map)
    if (
        parts.unsafe_execution
        and "unsafe_execution" in parameters_of("benchmark", name).model_fields
    ):
        options["unsafe_execution"] = True  # of a plug-in's benchmark, only if it runs code
    benchmark = build_part("benchmark", name, options)
    problems = scope.of_problems(benchmark.problems(scope.split))
    if not problems:
        where = " there" if scope.skip else ""
        raise ProblemError(f"{name}: the split {scope.split!r} has no problems{where}")
    if name != POOL:  # recorded before anybody could choose
        for preset in presets:
            check_apart(preset, problems)
    size = len(problems) * scope.epochs
    return [
        Plan(
            benchmark=name,
            problems=problems,
            grade=benchmark.grade,
            preset=with_share(preset, scope.run_budget, size),
            seed=scope.seed,
            repeats=scope.epochs,
            budget=scope.budget,
            run_budget=scope.run_budget,
            options={"split": scope.split, **_describe(parts), **_files_read(parts, preset)},
        )
        for preset in presets
    ]


def _to_places(given: object) -> tuple[int, int | None]:
    """Return how many problems are left out, and how many follow, by a number or "FIRST-LAST".

    Raises:
        InputError: It means none.
    """
    if given is None:
        return 0, None
    if not isinstance(given, str):
        return 0, to_int(given, "limit", least=1)
    first, dash, last = given.partition("-")
    if not dash:
        first, last = "1", first
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise InputError(f"limit: write how many, or FIRST-LAST such as 11-20; got {given!r}")
    return int(first) - 1, int(last) - int(first) + 1


def _describe(parts: Parts) -> Mapping[str, Any]:
    """Return what a run records of its engine; it knows itself which others it asked."""
    own = parts.own
    return own.to_mapping() if isinstance(own, EngineSpec) else {"engine": type(own).__name__}


def _files_read(parts: Parts, preset: Preset) -> Mapping[str, Any]:
    """Return digests of the files that were named as a preset's verifiers' models."""
    asked = " ".join(preset.pipeline.verifiers({}))
    found = {
        name: content_of(name, model)
        for name, model in parts.models.items()
        if reads_file(name) and re.search(rf"\b{re.escape(name)}\b", asked)
    }
    return {"verifier_files": found} if found else {}


async def run_plans(
    runtime: Runtime,
    *,
    plans: Sequence[Plan],
    out: Path,
    logs: Sequence[Path] = (),
    watch: Watch = unwatched,
) -> list[Summary]:
    """Run plans one after the other on one runtime; returns their figures.

    No engine starts where all of them are finished already, and no model is loaded whose samples
    are all in `logs`.

    Args:
        runtime: Owns the engines; it stays the caller's to close.
        plans: What to run.
        out: Holds the run folders.
        logs: Samples of other runs, which are not drawn again.
        watch: Shows the progress of a plan while its block runs.

    Raises:
        InputError: A plan cannot run on these engines, or a folder cannot be used.
        EngineError: A model cannot be loaded, or an engine died; what was finished is kept.
    """
    presets = [plan.preset for plan in plans]
    runtime.check(presets)
    for plan in plans:
        plan.check_budget()
    noted = [replace(plan, made_of=runtime.made_of(plan.preset)) for plan in plans]
    finished = [plan.finished(out) for plan in noted]
    left = [plan for plan, summary in zip(noted, finished, strict=True) if summary is None]
    if not left:
        return [summary for summary in finished if summary is not None]
    facts = known_engines(left, logs)
    async with runtime.serving([plan.preset.pipeline for plan in left], facts) as core:
        fresh = iter(await run_on(core, runtime, plans=left, out=out, logs=logs, watch=watch))
    return [next(fresh) if summary is None else summary for summary in finished]


async def run_on(
    core: Core,
    runtime: Runtime,
    *,
    plans: Sequence[Plan],
    out: Path,
    logs: Sequence[Path] = (),
    watch: Watch = unwatched,
) -> list[Summary]:
    """Run plans on what a runtime serves already; see `run_plans`."""
    return await evaluate_all(
        plans,
        core.engine,
        root=out,
        verifiers=core.verifiers,
        engines={name: engine for name, engine in core.engines.items() if name},
        reuse=logs,
        watch=watch,
        forget=runtime.forget,
        loading=runtime.loading_seconds,
    )
