"""What every verifier in the catalogue promises."""

import asyncio
import inspect
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from tests.support.scripts import answered, says
from tests.support.solving import PROBLEM, solve
from tests.support.verifiers import open_verifier
from tts.engine.scripted import Line, ScriptedEngine
from tts.errors import VerifierError
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.parts import catalog
from tts.parts.build import default_model
from tts.pipeline import Pipeline
from tts.protocols import VerifierSpec
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.tasks import countdown
from tts.types import Budget, Problem, Result, Sampling, ScoreRequest

RUN_CODE = ("evaluator", "execution", "fastest")


def _without_sandbox() -> str:
    """Return why code cannot be run safely here; empty where it can."""
    try:
        open_verifier("execution")
    except VerifierError as error:
        return str(error)
    return ""


def _marked(name: str) -> ParameterSet:
    reason = _without_sandbox() if name in RUN_CODE else ""
    return pytest.param(name, marks=pytest.mark.skipif(bool(reason), reason=reason))


NAMES = [_marked(name) for name in catalog.names("verifier")]
CODE = Problem(
    id="p",
    statement="Square.",
    answer_type="code",
    metadata={
        "tests": ["assert f(3) == 9"],
        "evaluator": "def evaluate(program): return program.f(3) / 9",
    },
)
COUNTDOWN = next(iter(countdown.problems("test")))


def problem_for(name: str) -> Problem:
    return CODE if name in RUN_CODE else COUNTDOWN if name in ("rule", "ensemble") else PROBLEM


def text_for(name: str) -> str:
    if name in RUN_CODE:
        return "```python\ndef f(x):\n    return x * x\n```"
    return "one step\n\nso it is \\boxed{12}"


def engine_for(name: str, *, breaks: bool = False) -> ScriptedEngine:
    """Attempts, verdicts and rewards that all verifiers can read, or none can."""
    noise, check = Line("?"), Line("Verdict: correct\nGrade: 5")
    script = answered(
        ("Attempt 1:", (lambda _: noise) if breaks else says(12)),
        ("Attempt:", lambda _: noise if breaks else check),
        otherwise=lambda ask: Line(text_for(name), score=0.5),
    )

    def rewards(request: ScoreRequest) -> tuple[float, ...]:
        if breaks:
            return ()
        return (0.5,) * request.prompt.prefill.count(request.step_tag)

    return ScriptedEngine(script, rewards=rewards)


def attempts(name: str, n: int = 3) -> Pipeline:
    return sample(n=n) >> score(verifier=name)


def scored(name: str, engine: ScriptedEngine, budget: Budget | None = None) -> Result:
    return solve(engine, attempts(name), problem=problem_for(name), budget=budget or Budget())


@pytest.mark.parametrize("name", NAMES)
def test_it_has_the_parts_that_the_catalogue_needs(name: str) -> None:
    module = catalog.load("verifier", name)
    reward_model = [] if default_model(name) is None else ["reward_model"]
    assert list(inspect.signature(module.build).parameters) == ["config", *reward_model]
    assert catalog.summary(module).endswith(".")
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        module.Config(nonsense=1)


@pytest.mark.parametrize("name", NAMES)
def test_every_trajectory_gets_a_value_or_an_error(name: str) -> None:
    result = scored(name, engine_for(name))
    scores = [trajectory.scores[name] for trajectory in result.trajectories]
    assert len(scores) == 3
    assert all(s.value is not None for s in scores), scores
    unit = open_verifier(name, engine_for(name)).spec.unit_interval
    assert not unit or all(0 <= (s.value or 0) <= 1 for s in scores)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_trajectory_gets_the_same_score_whatever_the_order(name: str) -> None:
    seen = []
    for order in ((30, 60, 90), (90, 30, 60)):
        plain = engine_for(name)
        script = plain.script

        def later(ask: Any, order: Any = order, script: Any = script) -> Line:
            line = script(ask)
            return Line(line.text, ticks=order[ask.index % 3], score=line.score)

        engine = ScriptedEngine(later, rewards=plain.rewards)
        result = scored(name, engine)
        seen.append({t.id: t.scores[name] for t in result.trajectories})
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", NAMES)
def test_it_never_goes_over_the_budget(name: str) -> None:
    for calls in (1, 4):
        engine = engine_for(name)
        result = scored(name, engine, Budget(calls=calls, tokens=300))
        assert sum(request.n for request in engine.requests) <= calls
        assert (result.usage.generated_tokens or 0) <= 300


@pytest.mark.parametrize("name", NAMES)
def test_what_it_cannot_read_is_data(name: str) -> None:
    engine = engine_for(name, breaks=True)
    problem = Problem(id="p", statement="?", answer_type=problem_for(name).answer_type)
    pipeline = attempts(name) >> select(by=name)
    result = solve(engine, pipeline, problem=problem)
    scores = [t.scores[name] for t in result.samples if name in t.scores]
    assert all((s.value is None) == (s.error is not None) for s in scores)


@pytest.mark.parametrize("name", NAMES)
def test_a_cancelled_run_leaves_nothing_behind(name: str) -> None:
    engine = engine_for(name)
    verifiers = {name: open_verifier(name, engine)}

    async def run() -> None:
        for other in verifiers[name].spec.verifiers:
            verifiers.setdefault(other, open_verifier(other, engine))
        runtime = Runtime(engine, verifiers=verifiers)
        job = Job(attempts(name), problem_for(name), Sampling(max_tokens=500))
        task = asyncio.create_task(runtime.run(job))
        for _ in range(len(text_for(name)) + 2):  # until it has something to score
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await runtime.aclose()

    asyncio.run(run())
    assert engine.num_running == 0


@pytest.mark.parametrize("name", NAMES)
def test_closing_twice_is_harmless(name: str) -> None:
    verifier = open_verifier(name, engine_for(name))
    assert isinstance(verifier.spec, VerifierSpec)

    async def close() -> None:
        await verifier.aclose()
        await verifier.aclose()

    asyncio.run(close())
