"""One problem through a pipeline on a scripted engine, for tests of operators and strategies."""

from collections.abc import Mapping
from typing import Any

from tests.support.solving import NO_BUDGET, PROBLEM, solve
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine, render
from tts.pipeline import Pipeline
from tts.protocols import Verifier
from tts.types import Budget, Problem, Result, Sampling, Trajectory


def boxed(answer: int | str) -> str:
    return rf"so it is \boxed{{{answer}}}"


def run(
    pipeline: Pipeline,
    script: Script | ScriptedEngine,
    *,
    problem: Problem = PROBLEM,
    budget: Budget = NO_BUDGET,
    verifiers: Mapping[str, Verifier] | None = None,
    max_tokens: int = 200,
) -> Result:
    """Run a pipeline on a script or an engine; nothing may be left running."""
    engine = script if isinstance(script, ScriptedEngine) else ScriptedEngine(script)
    sampling = Sampling(max_tokens=max_tokens)
    return solve(
        engine, pipeline, verifiers=verifiers, problem=problem, budget=budget, sampling=sampling
    )


def replies(*rules: tuple[str, str], otherwise: str = "nothing") -> Script:
    """Answer by the first rule whose words are in the prompt; the first rules win."""

    def line(ask: Ask) -> Line:
        found = (text for words, text in rules if words in ask.prompt)
        return Line(next(found, otherwise))

    return line


def prompts_of(engine: ScriptedEngine) -> list[str]:
    """Return every prompt that was sent, as text."""
    return [render(request.prompt) for request in engine.requests]


def events(result: Result, kind: str) -> list[dict[str, Any]]:
    return [dict(event.fields) for event in result.trace if event.kind == kind]


def answers(result: Result) -> list[str | None]:
    return [trajectory.answer for trajectory in result.trajectories]


def by_id(result: Result) -> dict[str, Trajectory]:
    return {trajectory.id: trajectory for trajectory in result.trajectories}
