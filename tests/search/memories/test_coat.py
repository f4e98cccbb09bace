"""CoAT's associative memory in MCTS, in a world with one fact that the policy lacks.

The problem asks for twice the code of a door. A first step names the door that is looked for, the
second its code: 7 if a note says so, 1 otherwise; the third answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.logs import cut_log, num_completions
from tests.support.results import noted
from tests.support.searching import search, solutions, steps_of
from tts.bench.virtual_time import run_at_once
from tts.engine.scripted import Ask, Line, ScriptedEngine, decode, render
from tts.errors import CapabilityError, EngineError, PresetError
from tts.operators.tree_search import TreeSearch
from tts.parts.plugins import load_plugin
from tts.pipeline import Pipeline
from tts.presets.load import load_preset
from tts.protocols import Context, VerifierSpec
from tts.runtime.job import Job
from tts.runtime.log_file import LogFile
from tts.runtime.runtime import Runtime
from tts.search.memories import facts, function, model
from tts.search.memories.base import AssociativeMemory, Cue
from tts.search.view import to_text
from tts.strategies.mcts import Config, Policy, build
from tts.types import Budget, Problem, Result, Sampling, Score, Trajectory

FACT = "The code of the red door is 7."
OTHER = "Mount Elbrus is 5642 metres high."


def say(ask: Ask) -> Line:
    if "or reply" in ask.prompt:  # it is asked as a memory
        return Line("None.")
    so_far = ask.prompt.rpartition("<assistant>")[2]
    own = [step for step in steps_of(ask) if not step.startswith("Note: ")]
    if not own:
        return Line(f"What is the code of the red door, try {ask.seed % 3}?\n\nand more")
    if len(own) == 1:
        return Line(f"Code {7 if 'red door is 7' in so_far else 1}, try {ask.seed % 3}.\n\n")
    return Line(rf"so \boxed{{{2 * int(own[1][5])}}}")


class Reader:
    """Gives every solution 0.5, and 0.9 to one in which a memory stands last."""

    spec = VerifierSpec(unit_interval=True)

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        self.texts += [t.text for t in trajectories]
        return [
            Score(0.9 if t.text.split("\n\n")[-2:][0].startswith("Note: ") else 0.5)
            for t in trajectories
        ]

    async def aclose(self) -> None:
        pass


class Source:
    """A look-up table that counts its questions."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers or (FACT,)
        self.cues: list[Cue] = []

    async def __call__(self, cue: Cue) -> str:
        self.cues.append(cue)
        return self.answers[min(len(cue.recalled), len(self.answers) - 1)]


def recalling(call: Callable[[Cue], Awaitable[Any]], **options: Any) -> Config:
    return Config(**{**SMALL, "memory": function.build(function.Config(function=call)), **options})


SMALL: dict[str, Any] = {"branching": 3, "solutions": 3, "expansions": 12}


def run(config: Config, engine: ScriptedEngine | None = None, **options: Any) -> Result:
    options.setdefault("verifier", Reader())
    return search(engine or ScriptedEngine(say), build(config), **options)


def answer_of(result: Result) -> str | None:
    return None if result.answer is None else result.answer.text


def nodes(result: Result) -> list[dict[str, Any]]:
    (figures,) = noted(result, "search")
    found: list[dict[str, Any]] = figures["tree"]["nodes"]
    return found


async def nothing(cue: Cue) -> str:
    return ""


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_with_an_empty_memory_every_request_is_that_of_plain_mcts(weight: float) -> None:
    plain, empty = ScriptedEngine(say), ScriptedEngine(say)
    expected = run(Config(**SMALL), plain)
    assert nodes(run(recalling(nothing, association_weight=weight), empty)) == nodes(expected)
    assert empty.requests == plain.requests


def test_so_it_is_where_the_policy_itself_is_asked_and_knows_nothing() -> None:
    # One path at a time: the answers take time, and what is expanded next depends on what is there.
    plain, asked = ScriptedEngine(say), ScriptedEngine(say)
    run(Config(**SMALL, parallel=1), plain)
    run(
        Config(**SMALL, parallel=1, memory=model.build(model.Config()), association_weight=0.5),
        asked,
    )
    assert [r for r in asked.requests if "or reply" not in str(r.prompt)] == plain.requests
    assert len(asked.requests) > len(plain.requests)


def test_a_fact_that_the_model_lacks_is_found_with_a_memory_alone(tmp_path: Path) -> None:
    assert answer_of(run(Config(**SMALL))) == "2"
    assert answer_of(run(recalling(Source()))) == "14"
    path = tmp_path / "facts.txt"
    path.write_text(f"{OTHER}\n\n{FACT}\n")
    assert answer_of(run(Config(**SMALL, memory=facts.build(facts.Config(file=str(path)))))) == "14"
    wise = ScriptedEngine(lambda ask: Line(f"<think>hm</think> {FACT}"))
    config = Config(**SMALL, memory=model.build(model.Config(engine="wise")))
    assert answer_of(run(config, engines={"wise": wise})) == "14"


def test_prompts_are_the_parents_tokens_step_and_memory() -> None:
    engine = ScriptedEngine(say)
    result = run(recalling(Source(FACT, OTHER)), engine)
    first, *later = engine.requests
    texts = {0: render(first.prompt)}
    for node in nodes(result)[1:]:
        note = f"Note: {node['memory']}\n\n" if "memory" in node else ""
        own = f"{node['text']}\n\n{note}"
        texts[node["index"]] = texts[node["parent"]] + own
        assert node["tokens"] in (0, len(own), len(node["text"]))  # the last step has no separator
    prompts = [decode(request.prompt.token_ids) for request in later]
    assert prompts and set(prompts) <= set(texts.values())
    assert any(FACT in prompt and OTHER in prompt for prompt in prompts)
    # All that the parent had read and written is found again. New are its memory, which the first
    # child reads, and what of it lies in a partly filled block of 4 tokens.
    (figures,) = noted(result, "search")
    missed = figures["reusable_tokens"] - figures["cached_tokens"]
    assert 0 < missed <= len(later) * (len(f"Note: {OTHER}\n\n") + 4)


def test_nodes_hold_their_memories_and_the_trace_says_so() -> None:
    result = run(recalling(Source()))
    told = {e["tree_node"]: (e["text"], e["tokens"]) for e in noted(result, "recall")}
    held = {node["index"]: node["memory"] for node in nodes(result) if "memory" in node}
    assert held == {node: text for node, (text, _) in told.items()}
    assert set(told.values()) == {(FACT, len(f"Note: {FACT}\n\n"))}
    assert not any("boxed" in nodes(result)[node]["text"] for node in told)
    (figures,) = noted(result, "search")
    assert f"+ {FACT}" in to_text(figures["tree"])


def test_a_memory_is_cut_to_whole_words_within_its_budgets() -> None:
    # A token is a character. "Note: " and the blank line take 8 of 20, "The code of" 11 of the 12.
    source = Source()
    result = run(recalling(source, memory_tokens=20, path_memory_tokens=30))
    told = {(nodes(result)[e["tree_node"]]["depth"], e["text"]) for e in noted(result, "recall")}
    # Of 30 on the path 19 are spent: 11 are left, 3 of them for the text.
    assert told == {(1, "The code of"), (2, "The")}
    assert {cue.max_tokens for cue in source.cues} == {20, 11}
    assert noted(run(recalling(Source(), memory_tokens=8)), "recall") == []
    spent = run(recalling(Source(), memory_tokens=20, path_memory_tokens=19))
    assert {nodes(spent)[e["tree_node"]]["depth"] for e in noted(spent, "recall")} == {1}


def test_equal_prefixes_are_asked_for_once() -> None:
    def repeat(ask: Ask) -> Line:
        return Line(f"d{ask.index // 2}\n\n" if len(steps_of(ask)) < 4 else r"\boxed{1}")

    source = Source()
    run(recalling(source, branching=4), ScriptedEngine(repeat))
    keys = [cue.steps for cue in source.cues]
    assert len(keys) == len(set(keys)) > 1
    assert {cue.steps: cue.recalled for cue in source.cues}[("d0",)] == ()
    assert {cue.recalled for cue in source.cues if len(cue.steps) == 2} == {(FACT,)}


def test_the_reward_gains_what_the_memory_adds_to_the_score() -> None:
    reader = Reader()
    result = run(recalling(Source(), association_weight=0.25), verifier=reader)
    rewards = {(n["depth"], n["reward"]) for n in nodes(result) if n["reward"] is not None}
    # 0.5 + 0.25 * (0.9 - 0.5) for steps with a memory; solutions have none.
    assert rewards == {(0, 1.0), (1, 0.6), (2, 0.6), (3, 0.5)}
    assert {t.scores["prm"].value for t in result.trajectories if "prm" in t.scores} == {0.5}
    assert any("Note: " in text for text in reader.texts)


def test_without_a_weight_the_verifier_reads_no_memory() -> None:
    reader = Reader()
    result = run(recalling(Source()), verifier=reader)
    assert noted(result, "recall")
    assert not any("Note: " in text for text in reader.texts)
    assert not any("Note: " in t.text for t in result.trajectories)


def test_no_answer_is_read_from_a_memory() -> None:
    def vague(ask: Ask) -> Line:
        return Line("hm\n\n" if len(steps_of(ask)) < 4 else "I do not know")

    memory = function.build(function.Config(function=Source(r"it is \boxed{99}")))
    result = search(ScriptedEngine(vague), Policy(), verifier=Reader(), memory=memory)
    assert noted(result, "recall") and solutions(result)
    assert {t.answer for t in solutions(result)} == {None}


def test_what_a_model_recalls_is_charged_and_is_no_attempt() -> None:
    wise = ScriptedEngine(lambda ask: Line(FACT))
    config = Config(**SMALL, memory=model.build(model.Config(engine="wise", temperature=0.5)))
    engine = ScriptedEngine(say)
    result = run(config, engine, engines={"wise": wise})
    generated = len(wise.requests) * len(FACT)
    assert result.usage.checking_tokens == generated > 0
    assert result.usage.calls == sum(r.n for r in engine.requests) + len(wise.requests)
    assert not any(FACT in t.text for t in result.samples)
    (request, *_) = wise.requests
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.5, 64)
    assert build(config).engines({"prm": Reader()}) == {"", "wise"}
    with pytest.raises(CapabilityError, match="needs the engine 'wise'"):
        run(config)


def test_a_thought_may_be_longer_than_the_memory() -> None:
    wise = ScriptedEngine(lambda ask: Line(f"<think>{'hm ' * 60}</think>{FACT}"))
    config = Config(**SMALL, memory=model.build(model.Config(engine="wise", max_tokens=300)))
    result = run(config, engines={"wise": wise})
    assert {e["text"] for e in noted(result, "recall")} == {FACT}


def test_a_budget_holds_for_recalling_too() -> None:
    wise = ScriptedEngine(lambda ask: Line(FACT))
    config = Config(**SMALL, memory=model.build(model.Config(engine="wise")))
    result = run(config, engines={"wise": wise}, budget=Budget(calls=5))
    assert result.usage.calls == 5
    assert "the budget of 5calls is spent" in result.reason


async def broken(cue: Cue) -> str:
    raise KeyError("no such table")


async def silent(cue: Cue) -> None:
    return None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (broken, "a step calls nothing to mind: KeyError: 'no such table'"),
        (
            silent,
            f"a step calls nothing to mind: TypeError: {__name__}.silent returned no text but None",
        ),
    ],
)
def test_a_memory_that_fails_is_a_warning(call: Any, message: str) -> None:
    result = run(recalling(call))
    assert nodes(result) == nodes(run(Config(**SMALL)))
    assert answer_of(result) == "2" and message in result.reason


def test_a_model_that_refuses_is_a_warning_and_one_that_dies_ends_the_run() -> None:
    config = Config(**SMALL, memory=model.build(model.Config(engine="wise")))
    refusing = ScriptedEngine(lambda ask: Line("", error="overloaded"))
    result = run(config, engines={"wise": refusing})
    assert answer_of(result) == "2"
    assert "a step calls nothing to mind: TTSError: overloaded" in result.reason
    dying = ScriptedEngine(lambda ask: Line(FACT), die_at=3)
    with pytest.raises(EngineError, match="the engine died"):
        run(config, engines={"wise": dying})


@pytest.mark.parametrize("turns", [20, 60, 100])
def test_cancelled_while_it_recalls_nothing_is_left(turns: int) -> None:
    async def cut() -> None:
        engine, wise = ScriptedEngine(say), ScriptedEngine(lambda ask: Line(FACT, hangs=True))
        runtime = Runtime(engine, verifiers={"prm": Reader()}, engines={"wise": wise})
        config = Config(**SMALL, memory=model.build(model.Config(engine="wise")))
        job = Job(build(config), Problem(id="p", statement="?"), Sampling(max_tokens=200))
        task = asyncio.create_task(runtime.run(job))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runtime.aclose()
        assert engine.num_running == wise.num_running == 0
        await engine.aclose()  # each has a clock, which may be about to tick
        await wise.aclose()
        assert len(asyncio.all_tasks()) == 1, "no task is left"

    asyncio.run(cut())


@pytest.mark.parametrize("source", ["function", "model"])
def test_a_killed_search_resumes_and_recalls_the_same(tmp_path: Path, source: str) -> None:
    def config() -> Config:
        if source == "function":
            return recalling(Source(FACT, OTHER), parallel=1)
        return Config(**SMALL, parallel=1, memory=model.build(model.Config(engine="wise")))

    def go(engine: ScriptedEngine) -> Result:
        wise = ScriptedEngine(lambda ask: Line(FACT))
        engine.tick_seconds = wise.tick_seconds = 1.0
        with LogFile(path) as log:
            return run(config(), engine, log=log, engines={"wise": wise}, run=run_at_once)

    path = tmp_path / "log.jsonl"
    whole = go(ScriptedEngine(say))
    drawn = num_completions(path)
    cut_log(path, drawn // 2)
    engine = ScriptedEngine(say)
    resumed = go(engine)
    assert 0 < sum(request.n for request in engine.requests) < drawn
    assert nodes(resumed) == nodes(whole)
    assert resumed.usage.generated_tokens == whole.usage.generated_tokens


def test_a_step_that_is_cut_in_its_middle_recalls_nothing() -> None:
    solution = "a first step\n\na second step\n\n" + r"so \boxed{1}"

    def go_on(ask: Ask) -> Line:
        written = ask.prompt.rpartition("<assistant>")[2].replace(f"Note: {FACT}\n\n", "")
        return Line(solution[len(written) :])

    result = run(recalling(Source(), step_tokens=10), ScriptedEngine(go_on))
    told = {nodes(result)[e["tree_node"]]["text"] for e in noted(result, "recall")}
    assert told == {"ep", "tep"}  # of steps that are cut after ten characters, their ends
    assert answer_of(result) == "1"


def test_it_round_trips_through_yaml(tmp_path: Path) -> None:
    path = tmp_path / "facts.txt"
    path.write_text(FACT)
    load_plugin(__name__)
    for memory in (
        facts.build(facts.Config(file=str(path), passages=2)),
        model.build(model.Config(engine="wise")),
        function.build(function.Config(function=nothing)),
    ):
        search_node = TreeSearch(policy=Policy(), memory=memory, memory_tokens=9)
        pipeline = Pipeline.of(search_node)
        preset = tmp_path / "mine.yaml"
        preset.write_text(yaml.safe_dump({"pipeline": pipeline.to_mapping()}))
        again = load_preset(str(preset)).pipeline
        assert again.to_mapping() == pipeline.to_mapping()
        ((_, node),) = list(again)
        assert isinstance(node.operator, TreeSearch)
        assert type(node.operator.memory) is type(memory)
        assert node.operator.memory_tokens == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("memory: {name: fact}", "unknown memory 'fact'; did you mean 'facts'"),
        ("memory: {engine: big}", "a memory needs a `name`; there are: facts, function, model"),
        ("memory: {name: facts, file: nowhere.txt}", "nowhere.txt: cannot be read"),
        (
            "memory: {name: function, function: tts.nowhere.recall}",
            "a name alone imports no module",
        ),
        ("memory: {name: model}\n  separator: 'Step {}:'", "needs a separator without {}"),
        ("memory: {name: model}\n  separator: null", "needs a separator without {}"),
        ("memory_tokens: 0", "greater than or equal to 1"),
    ],
)
def test_what_is_no_memory_is_refused(tmp_path: Path, options: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"strategy: mcts\nparameters:\n  {options}\n")
    with pytest.raises(PresetError, match=message):
        load_preset(str(path))


def test_the_preset_asks_a_model() -> None:
    engine = ScriptedEngine(say)
    result = search(engine, load_preset("coat").pipeline, verifier=Reader())
    assert result.answer is not None
    assert any("or reply" in str(request.prompt) for request in engine.requests)
    told = load_preset("coat", ["memory.engine=wise"]).pipeline
    assert told.engines({"prm": Reader()}) == {"", "wise"}


def test_a_memory_of_ones_own_is_a_class() -> None:
    class Parrot(AssociativeMemory):
        async def recall(self, context: Context, cue: Cue) -> str:
            return f"it said {cue.steps[-1][:4]}"

    result = run(Config(**SMALL, memory=Parrot()))
    assert {e["text"] for e in noted(result, "recall")} == {"it said What", "it said Code"}
