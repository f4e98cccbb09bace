"""One problem through a pipeline on a scripted engine, for tests of operators and strategies."""

import asyncio
from collections.abc import Mapping
from typing import Any

from tests.scripted import Ask, Line, Script, ScriptedEngine
from tts.pipeline import Pipeline
from tts.runtime.executor import Job
from tts.runtime.log import GenerationLog
from tts.runtime.runtime import Runtime
from tts.types import Budget, Problem, Result, Sampling, Trajectory

PROBLEM = Problem(id="p", statement="What is 3 * 4?", answer_type="integer")
NO_BUDGET = Budget()


def boxed(answer: int | str) -> str:
    return rf"so it is \boxed{{{answer}}}"


def run(
    pipeline: Pipeline,
    script: Script | ScriptedEngine,
    *,
    problem: Problem = PROBLEM,
    budget: Budget = NO_BUDGET,
    log: GenerationLog | None = None,
    verifiers: Mapping[str, Any] | None = None,
    max_tokens: int = 200,
    seed: int = 0,
) -> Result:
    """Run a pipeline; nothing may be left running."""
    engine = script if isinstance(script, ScriptedEngine) else ScriptedEngine(script)

    async def go() -> Result:
        runtime = Runtime(engine, log=log, verifiers=verifiers)
        try:
            sampling = Sampling(max_tokens=max_tokens)
            return await runtime.run(Job(pipeline, problem, sampling, seed, budget))
        finally:
            runtime.close()

    result = asyncio.run(go())
    assert engine.num_running == 0, "no request is left running"
    return result


def replies(*rules: tuple[str, str], otherwise: str = "nothing") -> Script:
    """Answer by the first rule whose words are in the prompt; the first rules win."""

    def line(ask: Ask) -> Line:
        found = (text for words, text in rules if words in ask.prompt)
        return Line(next(found, otherwise))

    return line


def prompts_of(engine: ScriptedEngine) -> list[str]:
    """Return every prompt that was sent, as text."""
    from tests.scripted import render

    return [render(request.prompt) for request in engine.requests]


def events(result: Result, kind: str) -> list[dict[str, Any]]:
    return [dict(event.fields) for event in result.trace if event.kind == kind]


def answers(result: Result) -> list[str | None]:
    return [trajectory.answer for trajectory in result.trajectories]


def by_id(result: Result) -> dict[str, Trajectory]:
    return {trajectory.id: trajectory for trajectory in result.trajectories}
