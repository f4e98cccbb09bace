"""`tts.Runtime`: what it takes, what it owns, and what it opens when."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tts
from tests.support.logs import cut_log
from tests.support.scripts import says
from tests.support.verifiers import ByText
from tts.engine import running
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.engines import ScriptedEngine as Public
from tts.errors import CapabilityError, EngineError, InputError
from tts.operators import sample, score, select, shared_cache, vote
from tts.presets.load import load_preset

SUM = "What is 3 + 4?"
SEVEN = says(7)


class Engine(ScriptedEngine):
    """Knows how often it was started and closed."""

    def __init__(self, script: Script = SEVEN, model: str = "") -> None:
        super().__init__(script, rewards=lambda request: (0.5,))
        self.model = model
        self.events: list[str] = []

    async def start(self) -> "Engine":
        self.events.append("start")
        return self

    async def aclose(self) -> None:
        self.events.append("close")
        await super().aclose()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """Return the engines that are made from specs."""
    engines: list[Engine] = []

    async def make_engine(spec: EngineSpec) -> Engine:
        engines.append(Engine(model=spec.model))
        return await engines[-1].start()

    monkeypatch.setattr(running, "make_engine", make_engine)
    return engines


def ending(runtime: tts.Runtime, *work: Callable[[tts.Runtime], Any]) -> list[Any]:
    """Do some work on a runtime, one piece after the other, and close it."""

    async def run() -> list[Any]:
        async with runtime:
            return [await piece(runtime) for piece in work]

    return asyncio.run(run())


def test_a_given_engine_is_started_once_and_closed() -> None:
    engine = Engine()
    results = ending(tts.Runtime(engine), *[lambda r: r.run("single", SUM)] * 2)
    assert [result.answer.text for result in results] == ["7", "7"]
    assert engine.events == ["start", "close"]


def test_an_engine_of_a_name_starts_with_the_first_problem(made: list[Engine]) -> None:
    ending(tts.Runtime("bundled:reasoner"))
    assert made == []
    ending(tts.Runtime(), lambda r: r.run("single", SUM))
    assert [engine.model for engine in made] == ["bundled:reasoner"]
    assert made[0].events == ["start", "close"]


@pytest.mark.parametrize(
    ("overrides", "lacks"),
    [
        (["sampling.logprobs=2"], "no log-probabilities"),
        (
            ["sampling.stop=['.']", "sampling.logprobs=1"],
            "no log-probabilities and no stop strings",
        ),
        (["sampling.extra_body={seed: 7}"], "no further sampling parameters"),
    ],
)
def test_what_teams_do_not_report_is_refused_before_a_model_loads(
    made: list[Engine], overrides: list[str], lacks: str
) -> None:
    with pytest.raises(CapabilityError, match=f"^workers over one cache have {lacks}"):
        ending(tts.Runtime(), lambda r: r.run("hogwild", SUM, overrides=overrides))
    assert made == []


def test_what_a_verifier_reads_of_each_token_is_refused_of_teams_at_once() -> None:
    engine = Engine()
    with pytest.raises(CapabilityError, match="have no log-probabilities"):
        ending(
            tts.Runtime(engine),
            lambda r: r.run(
                shared_cache(n=2) >> score(verifier="confidence") >> select(by="confidence"), SUM
            ),
        )
    assert engine.requests == []


def test_what_a_preset_asks_beside_it_is_owned_too(made: list[Engine]) -> None:
    runtime = tts.Runtime(Engine(), models={"prm": "my/prm"}, engines={"draft": "my/draft"})
    cascade = ["draft=draft", "n=4"]
    ending(
        runtime,
        lambda r: r.run("best_of_n", SUM, overrides=["n=4"]),
        lambda r: r.run("cascade", SUM, overrides=cascade),
    )
    # The draft takes half of what is left of a GPU beside the reward model, which stays.
    assert [engine.model for engine in made] == ["my/prm", "my/draft"]
    assert all(engine.events[-1] == "close" for engine in made)


def test_further_engines_may_be_objects() -> None:
    draft = Engine(says(7))
    ending(
        tts.Runtime(Engine(), engines={"draft": draft}),
        lambda r: r.run("cascade", SUM, overrides=["draft=draft", "n=4"]),
    )
    assert draft.events == ["start", "close"] and draft.requests


def test_a_verifier_of_ones_own_is_used_and_closed() -> None:
    class Mine(ByText):
        is_closed = False

        async def aclose(self) -> None:
            self.is_closed = True

    mine = Mine(lambda text: 0.9 if "8" in text else 0.1)
    (result,) = ending(
        tts.Runtime(Engine(says(7, 8)), verifiers={"mine": mine}),
        lambda r: r.run("best_of_n", SUM, overrides=["n=4", "verifier=mine"]),
    )
    assert result.answer.text == "8" and mine.is_closed


def test_pipelines_presets_and_names_run_alike() -> None:
    preset = load_preset("self_consistency", ["n=3"])
    results = ending(
        tts.Runtime(Engine()),
        lambda r: r.run(sample(n=3) >> vote(), SUM),
        lambda r: r.run(preset, tts.Problem("p", SUM)),
        lambda r: r.run("self_consistency", SUM, overrides=["n=3"]),
    )
    assert [result.answer.support.votes for result in results] == [3, 3, 3]
    names = [result.preset for result in results]
    assert names == ["pipeline", "self_consistency", "self_consistency"]


def test_a_presets_own_sampling_budget_and_name_are_applied(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: single\nsampling: {max_tokens: 77}\nbudget: {calls: 2}\n")
    engine = Engine()

    async def many(runtime: tts.Runtime) -> list[tts.Result]:
        async with runtime.run_many(str(file), [SUM, "What is 4 + 3?"]) as results:
            return [result async for result in results]

    def others(runtime: tts.Runtime) -> Any:
        sampling = tts.Sampling(max_tokens=5)
        return runtime.run(sample(n=8) >> vote(), SUM, sampling=sampling, budget="3calls")

    done, other = ending(tts.Runtime(engine), many, others)
    assert {result.preset for result in done} == {"mine"}
    assert {result.problem.id for result in done} == {"problem 0", "problem 1"}
    assert [request.sampling.max_tokens for request in engine.requests[:2]] == [77, 77]
    assert engine.requests[-1].sampling.max_tokens == 5
    assert other.usage.calls == 3


def test_a_log_on_disk_spares_the_next_runtime_its_samples(tmp_path: Path) -> None:
    for reused in (False, True):
        engine = Engine()
        (result,) = ending(
            tts.Runtime(engine, log=tmp_path / "samples.jsonl"),
            lambda r: r.run("self_consistency", SUM, overrides=["n=4"]),
        )
        assert bool(engine.requests) is not reused
        assert (result.usage.reused_tokens > 0) is reused


def test_what_was_in_flight_at_a_kill_counts_against_the_runs_budget(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"

    def solved(run_budget: str | None) -> tts.Result:
        (result,) = ending(
            tts.Runtime(Engine(), log=path, run_budget=run_budget),
            lambda r: r.run("self_consistency", SUM, overrides=["n=4"]),
        )
        assert isinstance(result, tts.Result)
        return result

    solved(None)
    cut_log(path, 1)
    # Three calls were in flight and one is recorded: of six, two are left for the three.
    assert solved("6calls").usage.calls == 3


def test_the_runs_budget_outlives_an_engine_that_is_opened_later(made: list[Engine]) -> None:
    runtime = tts.Runtime(Engine(), run_budget="5calls")
    (first, second) = ending(
        runtime,
        lambda r: r.run("self_consistency", SUM, overrides=["n=4"]),
        lambda r: r.run("best_of_n", SUM, overrides=["n=4"], seed=1),
    )
    # The second asks a reward model, which is opened for it; one call of five is left.
    assert (first.usage.calls, second.usage.calls) == (4, 1)
    assert runtime.usage.calls == 5
    assert [engine.model for engine in made] == ["bundled:prm"]


def test_what_needs_no_room_is_opened_while_others_run() -> None:
    class Quiet(ByText):
        pass

    async def run() -> None:
        is_asked = asyncio.Event()

        def say(ask: Ask) -> Line:
            is_asked.set()
            return Line("", hangs=True) if "wait" in ask.prompt else Line("7")

        waits = Engine(say)
        async with tts.Runtime(waits, verifiers={"mine": Quiet(lambda text: 0.5)}) as runtime:
            hanging = asyncio.create_task(runtime.run("single", "wait"))
            await is_asked.wait()
            by_rule = ["n=2", "verifier=rule"]
            call = runtime.run("weighted_vote", SUM, overrides=by_rule)
            await asyncio.wait_for(call, 10)
            hanging.cancel()

    asyncio.run(run())


def test_nothing_runs_on_a_closed_runtime() -> None:
    runtime = tts.Runtime(Engine())
    ending(runtime, lambda r: r.run("single", SUM))

    async def again() -> None:
        with pytest.raises(EngineError, match="the runtime is closed"):
            await runtime.run("single", SUM)
        await runtime.aclose()

    asyncio.run(again())


def test_a_failed_start_closes_nothing_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(spec: EngineSpec) -> Engine:
        raise EngineError(f"no memory for {spec.model}")

    monkeypatch.setattr(running, "make_engine", refuse)
    engine = Engine()

    async def work(runtime: tts.Runtime) -> Any:
        with pytest.raises(EngineError, match="no memory for bundled:prm"):
            await runtime.run("best_of_n", SUM)
        return await runtime.run("single", SUM)

    (result,) = ending(tts.Runtime(engine), work)
    assert result.answer.text == "7" and engine.events == ["start", "close"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": 3}, "model: expected an engine, or text: MODEL, MODEL@URL or replay"),
        ({"engine": Public(SEVEN), "engine_args": {"seed": 1}}, "whose options are settled"),
        ({"engines": ["draft"]}, "engines: expected a mapping"),
        ({"models": {"confidenc": "m"}}, "did you mean 'confidence'"),
        ({"run_budget": 8}, "run_budget: expected text such as"),
        ({"max_problems": 0}, "max_problems: expected at least 1"),
        ({"log": 3}, "log: expected a file"),
    ],
)
def test_a_runtime_refuses_what_is_wrong_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tts.Runtime(**arguments)


def test_run_many_refuses_what_is_wrong_when_it_is_called() -> None:
    runtime = tts.Runtime(Engine())
    with pytest.raises(InputError, match="problems: expected a list"):
        runtime.run_many("single", SUM)
    with pytest.raises(InputError, match="sampling: expected a Sampling"):
        runtime.run_many("single", [SUM], sampling={"n": 3})  # type: ignore[arg-type]


def test_a_test_of_ones_own_needs_no_model() -> None:
    def say(ask: Ask) -> Line:
        return Line(rf"\boxed{{{4 if ask.index < 2 else 5}}}")

    (result,) = ending(tts.Runtime(Public(say)), lambda r: r.run(sample(n=3) >> vote(), SUM))
    assert result.answer.text == "4"
