"""Jobs of pipelines and presets, of problems and texts; what is refused before an engine starts."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.support.scripts import says
from tts.engine.scripted import ALL, ScriptedEngine
from tts.errors import BudgetError, CapabilityError, InputError
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.presets.load import load_preset
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.types import Budget, Message, Problem, Result, Sampling

VOTE = sample(n=2) >> vote()
PROBLEM = Problem(id="p", statement="What is 3 * 4?")


def test_a_pipeline_and_a_text_are_a_job() -> None:
    job = Job.of(VOTE, "What is 3 * 4?", budget="8k, 30s", seed=3)
    assert job.problem == Problem(id="problem", statement="What is 3 * 4?")
    assert job.budget == Budget(tokens=8_000, seconds=30.0)
    assert (job.pipeline, job.seed, job.preset) == (VOTE, 3, "pipeline")
    assert job.sampling == Sampling(leaves_room=True)


def test_a_preset_brings_its_sampling_budget_and_name() -> None:
    preset = load_preset("self_consistency", ["n=3", "budget=64calls", "sampling.temperature=0.5"])
    job = Job.of(preset, PROBLEM)
    assert (job.preset, job.budget) == ("self_consistency", Budget(calls=64))
    assert job.sampling == preset.sampling and job.sampling.temperature == 0.5
    other = Job.of(preset, PROBLEM, sampling=Sampling(top_k=3), budget=Budget(tokens=9))
    assert (other.sampling, other.budget) == (Sampling(top_k=3), Budget(tokens=9))


def test_jobs_of_many_are_served_in_order() -> None:
    jobs = list(Job.of_all(VOTE, ["a?", PROBLEM, "c?"], budget="9calls", seed=2))
    assert [job.problem.id for job in jobs] == ["problem 0", "p", "problem 2"]
    assert [job.priority for job in jobs] == [0, 1, 2]
    assert {(job.seed, job.budget.calls) for job in jobs} == {(2, 9)}


def test_a_chat_needs_no_statement() -> None:
    chat = Problem(id="chat", messages=(Message("user", "3 * 4?"),))
    assert Job.of(VOTE, chat).problem is chat


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"what": 3}, r"what solves a problem is a pipeline or a preset, got 3 \(int\)"),
        ({"what": "self_consistency"}, r"got 'self_consistency' \(str\).*load_preset\(NAME\)"),
        ({"problem": None}, r"problem: expected Problem, got None \(NoneType\)"),
        ({"problem": 12}, r"problem: expected Problem, got 12 \(int\)"),
        ({"problem": "  "}, r"the problem is empty"),
        ({"budget": []}, r"budget: expected text such as '8k'.*got \[\] \(list\)"),
        ({"budget": 8000}, r"budget: expected text such as '8k'.*got 8000 \(int\)"),
        ({"budget": "8x"}, r"cannot read '8x' in budget '8x'"),
        ({"seed": "x"}, r"seed: expected int, got 'x' \(str\)"),
        ({"seed": True}, r"seed: expected int, got True \(bool\)"),
        ({"sampling": {"n": 1}}, r"sampling: expected Sampling, got \{'n': 1\} \(dict\)"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_sentence(change: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {"what": VOTE, "problem": PROBLEM, **change}
    with pytest.raises(InputError, match=said) as caught:
        Job.of(arguments.pop("what"), arguments.pop("problem"), **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("problems", ["3 * 4?", PROBLEM, 7, None])
def test_one_problem_is_no_list_of_problems(problems: Any) -> None:
    with pytest.raises(InputError, match=r"problems are a list of them.*write \[problem\]"):
        Job.of_all(VOTE, problems)


def test_a_runtime_says_what_it_runs() -> None:
    async def main() -> None:
        async with Runtime(ScriptedEngine(says(12))) as runtime:
            with pytest.raises(InputError, match="a runtime runs jobs, got Pipeline"):
                await runtime.run(VOTE)  # type: ignore[arg-type]

    asyncio.run(main())
    with pytest.raises(BudgetError, match="budget: expected text"):
        Runtime(ScriptedEngine(says(12)), run_budget=8000)  # type: ignore[arg-type]


def test_jobs_that_differ_in_their_problem_alone_are_checked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[Pipeline] = []
    check = Pipeline.check_engines

    def count(self: Pipeline, *args: Any) -> None:
        checked.append(self)
        check(self, *args)

    monkeypatch.setattr(Pipeline, "check_engines", count)

    async def main() -> list[Result]:
        jobs = [Job.of(VOTE, f"{i}?", budget=b) for i in range(10) for b in ("9calls", "8calls")]
        jobs.sort(key=lambda job: job.budget.calls or 0)
        async with (
            Runtime(ScriptedEngine(says(12))) as runtime,
            runtime.run_many(jobs) as results,
        ):
            return [result async for result in results]

    assert len(asyncio.run(main())) == 20
    assert checked == [VOTE, VOTE]  # once for each budget


def test_a_job_that_cannot_run_is_refused_each_time() -> None:
    async def main() -> None:
        preset = load_preset("cyclic_reflex")
        bare = ScriptedEngine(says(12), capabilities=replace(ALL, logits_processors=False))
        async with Runtime(bare) as runtime:
            for _ in range(2):
                with pytest.raises(CapabilityError, match="logits processors"):
                    await runtime.run(Job.of(preset, PROBLEM))

    asyncio.run(main())


@pytest.mark.parametrize("name", ["no_thinking", "budget_forcing", "dynasor", "trimr"])
def test_presets_about_thoughts_are_refused_where_the_model_has_none(name: str) -> None:
    async def main() -> None:
        plain = ScriptedEngine(says(12), capabilities=replace(ALL, thoughts=False))
        async with Runtime(plain) as runtime:
            with pytest.raises(
                CapabilityError,
                match=r"needs thoughts that can be switched, which .* does not offer",
            ):
                await runtime.run(Job.of(load_preset(name), PROBLEM))
            assert plain.requests == []

    asyncio.run(main())
