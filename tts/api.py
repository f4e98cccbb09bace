"""The short way in: one call, and the answers are there."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from tts.budget import to_budget
from tts.pipeline import Pipeline
from tts.presets.load import Preset
from tts.runtime.job import to_problem
from tts.session.arguments import to_int, to_model, to_problems
from tts.session.kept import SESSION
from tts.session.runtime import DEFAULT_MODEL, DEFAULT_PRESET, Runtime, choose
from tts.types import Budget, Problem, Result


def solve(
    problem: Problem | str,
    *,
    preset: Preset | Pipeline | str = DEFAULT_PRESET,
    overrides: Sequence[str] = (),
    budget: Budget | str | None = None,
    seed: int = 0,
    model: str = DEFAULT_MODEL,
    engine_args: Mapping[str, Any] | None = None,
    models: Mapping[str, str] | None = None,
) -> Result:
    """Solve one problem.

    Engines and reward models are kept until exit, `shutdown()`, or a call with another model or
    other options. They live in a thread of their own, so this works inside a running event loop
    too, and blocks it: use `asolve` there.

    Args:
        problem: Text, or a `Problem`.
        preset: A preset's name or file, a loaded preset, or a pipeline.
        overrides: Changes to a preset that is given by name: "n=32", "sampling.top_p=0.9".
        budget: Hard limits, in place of the preset's: a `Budget`, or text such as "8k" (tokens).
        seed: The same seed gives the same samples.
        model: A Hugging Face id, a folder or "bundled:reasoner", embedded in this process;
            "MODEL@URL" or "@URL" for an OpenAI-compatible server; "replay:FILE[#MODEL]" for
            recorded samples.
        engine_args: Options of the engine by name, such as `{"max_model_len": 8192}`; see
            `tts.Runtime`.
        models: Model by verifier name, in place of the verifier's default: `{"prm": "..."}`.

    Raises:
        InputError: An argument, the preset or the problem cannot be used; nothing was loaded.
        EngineError: The model cannot be loaded, the engine died, or `shutdown` ended the call.
    """
    runtime = _runtime(model, engine_args, models)
    return SESSION.call(runtime, _solving(runtime, problem, preset, overrides, budget, seed))


async def asolve(
    problem: Problem | str,
    *,
    preset: Preset | Pipeline | str = DEFAULT_PRESET,
    overrides: Sequence[str] = (),
    budget: Budget | str | None = None,
    seed: int = 0,
    model: str = DEFAULT_MODEL,
    engine_args: Mapping[str, Any] | None = None,
    models: Mapping[str, str] | None = None,
) -> Result:
    """Like `solve`, for asynchronous callers; cancelling it aborts the work."""
    runtime = _runtime(model, engine_args, models)
    return await SESSION.acall(runtime, _solving(runtime, problem, preset, overrides, budget, seed))


def solve_many(
    problems: Iterable[Problem | str],
    *,
    preset: Preset | Pipeline | str = DEFAULT_PRESET,
    overrides: Sequence[str] = (),
    budget: Budget | str | None = None,
    seed: int = 0,
    model: str = DEFAULT_MODEL,
    engine_args: Mapping[str, Any] | None = None,
    models: Mapping[str, str] | None = None,
) -> list[Result]:
    """Solve many problems at once, and return their results in the same order.

    The arguments are those of `solve`; `budget` is that of each problem. To see results as they
    come, use `tts.Runtime.run_many`.

    Raises:
        InputError: An argument, the preset or a problem cannot be used; nothing was loaded.
        EngineError: The model cannot be loaded, the engine died, or `shutdown` ended the call.
    """
    runtime, asked = _runtime(model, engine_args, models), to_problems(problems)
    chosen = choose(preset, overrides, models=runtime.parts.models)
    limits, start = to_budget(budget), to_int(seed, "seed")

    async def work(runtime: Runtime) -> list[Result]:
        async with runtime.run_many(chosen, asked, budget=limits, seed=start) as results:
            done = {result.problem.id: result async for result in results}
        return [done[problem.id] for problem in asked]

    return SESSION.call(runtime, work)


def shutdown() -> None:
    """Free the engines that `solve` and `evaluate` keep; the next call starts others.

    Calls under way in other threads or tasks end with an EngineError.
    """
    SESSION.shutdown()


def _runtime(model: object, engine_args: Any, models: Any) -> Runtime:
    return Runtime(to_model(model), engine_args=engine_args, models=models)


def _solving(
    own: Runtime, problem: Any, preset: Any, overrides: Any, budget: Any, seed: object
) -> Callable[[Runtime], Awaitable[Result]]:
    """Check what was given; return what then remains to be done on a runtime."""
    chosen = choose(preset, overrides, models=own.parts.models)
    asked = to_problem(problem)
    limits, start = to_budget(budget), to_int(seed, "seed")

    async def work(runtime: Runtime) -> Result:
        return await runtime.run(chosen, asked, budget=limits, seed=start)

    return work
