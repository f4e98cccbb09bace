"""Runs a pipeline, or a preset, on a scripted engine in virtual time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tts.engine.scripted import Ask, Line, Script, ScriptedEngine
from tts.parts import default_model, load_verifier
from tts.pipeline import Pipeline
from tts.presets.load import load_preset
from tts.protocols import Context, Engine, Verifier, VerifierSpec
from tts.runtime.job import Job
from tts.runtime.log import GenerationLog
from tts.runtime.runtime import Runtime
from tts.seeds import derive_seed
from tts.types import Budget, Event, Problem, Result, Sampling, Score, Trajectory

PROBLEM = Problem(id="p", statement="What is 3 * 4?", answer_type="integer")
NO_BUDGET = Budget()
SAMPLING = Sampling(max_tokens=500)


def says(*answers: str | int | None) -> Script:
    """Script: attempt i ends in the boxed answer i, starting over after the last."""

    def line(ask: Ask) -> Line:
        answer = answers[ask.index % len(answers)]
        return Line("I do not know" if answer is None else rf"it is \boxed{{{answer}}}")

    return line


def place(ask: Ask, node: str = "sample") -> int:
    """Return which sample of a node a sequence is, however they were batched."""
    return ask.seed - derive_seed(0, PROBLEM.id, node)


def in_order(*answers: str | int | None) -> Script:
    """Script: sample i of the node "sample" ends in the boxed answer i, from the first again."""
    return lambda ask: says(*answers)(replace(ask, index=place(ask)))


def sure(*pairs: tuple[int, float]) -> Script:
    """Script: sample i ends in an answer and has the same confidence in each of its tokens."""

    def line(ask: Ask) -> Line:
        answer, confidence = pairs[ask.index % len(pairs)]
        text = rf"it is \boxed{{{answer}}}"
        return Line(text, confidences=(confidence,) * len(text))

    return line


def answered(*scripts: tuple[str, Script], otherwise: Script) -> Script:
    """Script: the first whose key is in the prompt."""

    def line(ask: Ask) -> Line:
        return next((script for key, script in scripts if key in ask.prompt), otherwise)(ask)

    return line


def open_verifier(text: str, engine: Engine | None = None) -> Verifier:
    """Build a verifier from its name and options; a reward model's engine is given."""
    module, config = load_verifier(text)
    given = () if default_model(text) is None else (engine,)
    verifier: Verifier = module.build(config, *given)
    return verifier


def solve(
    engine: ScriptedEngine,
    pipeline: Pipeline | str,
    *,
    verifiers: Mapping[str, Verifier] | None = None,
    engines: Mapping[str, ScriptedEngine] | None = None,
    problem: Problem = PROBLEM,
    budget: Budget = NO_BUDGET,
    sampling: Sampling = SAMPLING,
    log: GenerationLog | None = None,
    overrides: Sequence[str] = (),
) -> Result:
    """Solve one problem; verifiers that are not given are built from their names.

    A reward model's engine is the same scripted engine, which answers `score` with its `rewards`.
    """
    graph = load_preset(pipeline, overrides).pipeline if isinstance(pipeline, str) else pipeline
    known = dict(verifiers or {})
    wanted = [name for _, node in graph for name in node.operator.spec.verifiers]
    for name in wanted:
        if name not in known:
            known[name] = open_verifier(name, engine)
        wanted += [other for other in known[name].spec.verifiers if other not in wanted]

    async def run() -> Result:
        async with Runtime(engine, verifiers=known, log=log, engines=engines) as runtime:
            return await runtime.run(Job(graph, problem, sampling, budget=budget))

    result = asyncio.run(run())
    asked = [engine, *(engines or {}).values()]
    assert not any(one.num_running for one in asked), "no request is left running"
    return result


def events(result: Result, kind: str) -> list[Event]:
    """Return the trace's events of a kind."""
    return [event for event in result.trace if event.kind == kind]


class ByText:
    """A verifier whose score is a function of the text; what the function raises is a failure."""

    spec = VerifierSpec(unit_interval=True)

    def __init__(self, rule: Callable[[str], float]) -> None:
        self._rule = rule

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        return [Score(self._rule(trajectory.text)) for trajectory in trajectories]

    async def aclose(self) -> None:
        pass
