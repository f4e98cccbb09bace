"""Runs a pipeline, or a preset, on a scripted engine in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from tests.support.verifiers import open_verifier
from tts.engine.scripted import Script, ScriptedEngine
from tts.pipeline import Pipeline
from tts.presets.load import load_preset
from tts.protocols import Verifier
from tts.runtime.job import Job
from tts.runtime.log import GenerationLog
from tts.runtime.runtime import Runtime
from tts.types import Budget, Problem, Result, Sampling

PROBLEM = Problem(id="p", statement="What is 3 * 4?", answer_type="integer")
NO_BUDGET = Budget()
SAMPLING = Sampling(max_tokens=500)


def solve(
    engine: Script | ScriptedEngine,
    pipeline: Pipeline | str,
    *,
    verifiers: Mapping[str, Verifier] | None = None,
    engines: Mapping[str, ScriptedEngine] | None = None,
    problem: Problem = PROBLEM,
    budget: Budget = NO_BUDGET,
    sampling: Sampling = SAMPLING,
    log: GenerationLog | None = None,
    overrides: Sequence[str] = (),
    run: Callable[[Coroutine[Any, Any, Result]], Result] = asyncio.run,
) -> Result:
    """Solve one problem; nothing may be left running.

    Args:
        engine: It, or what it says.
        pipeline: It, or the name of a preset.
        verifiers: Those that are not given are built from their names. A reward model's engine is
            the same scripted engine, which answers `score` with its `rewards`.
        engines: The run's further ones.
        problem: Of the run.
        budget: Of the run.
        sampling: Of the run.
        log: Where generations are kept.
        overrides: Of the preset.
        run: Runs a coroutine to its end.
    """
    engine = engine if isinstance(engine, ScriptedEngine) else ScriptedEngine(engine)
    graph = load_preset(pipeline, overrides).pipeline if isinstance(pipeline, str) else pipeline
    known = dict(verifiers or {})
    wanted = [name for _, node in graph for name in node.operator.spec.verifiers]
    for name in wanted:
        if name not in known:
            known[name] = open_verifier(name, engine)
        wanted += [other for other in known[name].spec.verifiers if other not in wanted]

    async def main() -> Result:
        async with Runtime(engine, verifiers=known, log=log, engines=engines) as runtime:
            return await runtime.run(Job(graph, problem, sampling, budget=budget))

    result = run(main())
    asked = [engine, *(engines or {}).values()]
    assert not any(one.num_running for one in asked), "no request is left running"
    return result
