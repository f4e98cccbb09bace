"""Tree search on the scripted engine: accounts, bad steps, failures, budgets, cancellation."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.logs import cut_log, num_completions
from tests.support.results import noted
from tests.support.searching import (
    PROBLEM,
    DigitVerifier,
    digits,
    search,
    solutions,
    steps_of,
    whole,
)
from tts.engine.scripted import INFO, Ask, Line, ScriptedEngine
from tts.errors import CapabilityError, ContextError, EngineError, PresetError
from tts.operators.map_parts import map_parts
from tts.operators.plan import plan
from tts.operators.select import select
from tts.operators.tree_search import TreeSearch, tree_search
from tts.operators.vote import vote
from tts.parts import catalog
from tts.pipeline import Pipeline
from tts.presets.load import load_preset
from tts.protocols import Capabilities
from tts.runtime.job import Job
from tts.runtime.log_file import LogFile
from tts.runtime.runtime import Runtime
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import NodeState, SearchTree
from tts.search.view import to_mermaid, to_svg, to_text
from tts.strategies.ab_mcts import Policy as ABMCTS
from tts.strategies.backtracking import Policy as Backtracking
from tts.strategies.beam_search import Policy as BeamSearch
from tts.strategies.best_first import Policy as BestFirst
from tts.strategies.dvts import Policy as DVTS
from tts.strategies.ets import Policy as ETS
from tts.strategies.mcts import Policy as MCTS
from tts.strategies.particle_filter import Policy as ParticleFilter
from tts.strategies.rebase import Policy as Rebase
from tts.types import Budget, Sampling

POLICIES: dict[str, SearchPolicy] = {
    "beam_search": BeamSearch(width=6, branching=3),
    "dvts": DVTS(width=6, branching=3),
    "rebase": Rebase(width=6),
    "ets": ETS(width=6),
    "best_first": BestFirst(branching=3, expansions=20, solutions=3),
    "mcts": MCTS(branching=3, expansions=20, solutions=3),
    "ab_mcts": ABMCTS(attempts=6),
    "particle_filter": ParticleFilter(width=6),
    "backtracking": Backtracking(steps=40),
}
every_policy = pytest.mark.parametrize("name", POLICIES)
REBASE = POLICIES["rebase"]


def figures(result: Any) -> dict[str, Any]:
    (only,) = noted(result, "search")
    return only


@every_policy
def test_every_search_finds_solutions_with_steps_and_parents(name: str) -> None:
    result = search(ScriptedEngine(digits(depth=3)), POLICIES[name])
    found = solutions(result)
    assert found and result.reason == ""
    known = {t.id: t for t in result.trajectories}
    for solution in found:
        if solution.usage.calls == 0:
            continue  # a particle's copy
        assert len(solution.steps) == 4
        assert solution.answer == str(sum(int(step.text[1]) for step in solution.steps[:3]))
        assert solution.scores["prm"].value == 1.0
        (parent,) = solution.parents
        assert solution.text.startswith(known[parent].text)
        assert known[parent].finish_reason is None
    generated = sum(t.usage.generated_tokens or 0 for t in known.values())
    assert result.usage.wasted_tokens == (result.usage.generated_tokens or 0) - generated


@every_policy
def test_children_of_live_parents_hit_the_whole_prefix(name: str) -> None:
    result = search(ScriptedEngine(digits(depth=3)), POLICIES[name])
    account = figures(result)
    assert account["reusable_tokens"] > 0
    assert account["cached_tokens"] == account["reusable_tokens"]


def test_kv_blocks_by_hand() -> None:
    engine = ScriptedEngine(digits(depth=1), info=replace(INFO, kv_block_size=10))
    result = search(engine, BeamSearch(width=2, branching=2, drop_duplicates=False))
    prompt = result.trajectories[0].prompt_token_ids
    decisions = noted(result, "decide")
    # Two first steps of 4 tokens on one prompt: its full blocks once, a partial block each.
    full = len(prompt) // 10
    assert len(prompt) % 10 <= 5, "the step does not fill another block"
    assert [d["kv_blocks"] for d in decisions] == [0, full + 2, 0]
    assert [d["kv_blocks_kept"] for d in decisions] == [0, full + 1, 0]
    # Tokens: the prompt once, and two steps of 4, which differ in their second token alone.
    assert [d["kv_tokens"] for d in decisions] == [0, len(prompt) + 4 + 3, 0]
    # As tree nodes: the prompt and two steps of 4, then one of them.
    assert [d["kv_node_tokens"] for d in decisions] == [0, len(prompt) + 8, 0]
    assert [d["kv_node_tokens_kept"] for d in decisions] == [0, len(prompt) + 4, 0]
    assert figures(result)["tree_tokens"] == len(prompt) + 8 + 2 * len(r"so \boxed{0}")
    assert figures(result)["mean_solution_tokens"] == 4 + len(r"so \boxed{0}")
    assert figures(result)["peak_kv_blocks"] == full + 2 == result.usage.peak_kv_blocks


def test_a_trace_draws_the_tree() -> None:
    view = figures(search(ScriptedEngine(digits(depth=2)), REBASE))["tree"]
    text = to_text(view)
    assert "finished 1.00" in text and "no share of the width" in text
    assert to_mermaid(view).startswith("flowchart") and to_svg(view).startswith("<svg")


def test_a_vote_composes_after_a_search() -> None:
    pipeline = tree_search(policy=REBASE) >> vote(weights="prm")
    result = search(ScriptedEngine(digits(depth=2)), pipeline)
    assert result.answer is not None
    assert result.answer.support.voters == 6
    best = search(ScriptedEngine(digits(depth=2)), tree_search(policy=REBASE) >> select(by="prm"))
    assert best.answer is not None


def test_a_search_within_a_map() -> None:
    def say(ask: Ask) -> Line:
        if "Part" not in ask.prompt:
            return Line("1. Part one\n2. Part two")
        return digits(depth=2)(ask)

    pipeline = plan(ask="decompose") >> map_parts(
        body=tree_search(policy=REBASE) >> vote(weights="prm")
    )
    result = search(ScriptedEngine(say), pipeline)
    assert len(noted(result, "search")) == 2
    assert {e["finished"] for e in noted(result, "search")} == {6}
    assert result.usage.calls == 1 + 2 * 3 * 6


def test_the_same_search_twice_and_in_any_order_of_arrival() -> None:
    def slow(ask: Ask) -> Line:
        return replace(digits(depth=3)(ask), ticks=1 + ask.seed * 7 % 13)

    first = search(ScriptedEngine(digits(depth=3)), REBASE)
    second = search(ScriptedEngine(slow), REBASE)
    assert {t.id: t.text for t in first.trajectories} == {t.id: t.text for t in second.trajectories}
    assert figures(first)["tree"] == figures(second)["tree"]


def test_empty_steps_end_their_branch() -> None:
    def say(ask: Ask) -> Line:
        return Line(" \n\nx") if ask.index == 0 and steps_of(ask) else digits(depth=2)(ask)

    result = search(ScriptedEngine(say), REBASE)
    assert solutions(result)
    assert {e["reason"] for e in noted(result, "fail")} == {"empty step"}


def test_steps_that_never_end_are_cut_and_the_search_ends() -> None:
    engine = ScriptedEngine(lambda ask: Line("d5" * 1_000))
    result = search(engine, REBASE, step_tokens=10, sampling=Sampling(max_tokens=35))
    assert {t.finish_reason for t in solutions(result)} == {"length"}
    assert {len(t.token_ids) for t in solutions(result)} == {35}
    assert {len(t.steps) for t in solutions(result)} == {4}  # 10 + 10 + 10 + 5


@pytest.mark.parametrize(
    ("options", "say"),
    [
        # Numbered steps: the separator before step n + 1 ends step n.
        ({"separator": "\nStep {}:"}, lambda n: f"d{n} is it\nStep {n + 1}:"),
        ({"separator": None, "step_tokens": 4}, lambda n: f"d{n} \n"),
    ],
)
def test_steps_of_any_kind_are_scored_one_by_one(options: Any, say: Any) -> None:
    def script(ask: Ask) -> Line:
        number = ask.prompt.rpartition("<assistant>")[2].count("d") + 1
        text = "".join(say(n) for n in range(number, 4))
        return Line(text + r"\boxed{6}")

    verifier = DigitVerifier()
    search(ScriptedEngine(script), REBASE, verifier=verifier, **options)
    # Each step stands in a paragraph of its own, whatever it was cut by.
    assert {"d1 is it\n\nd2 is it", "d1\n\nd2"} & set(verifier.calls)
    assert not any("Step" in text for text in verifier.calls)


def test_a_search_of_whole_solutions_says_that_it_was_none() -> None:
    # Lines, where paragraphs are looked for.
    engine = ScriptedEngine(lambda ask: Line(f"first\nthen\nso \\boxed{{{ask.index}}}"))
    said = "every solution came in one step"
    assert said in search(engine, Rebase(width=4)).reason
    by_lines = search(ScriptedEngine(digits()), Rebase(width=4), separator="\n")
    assert said not in by_lines.reason


def test_the_last_step_runs_to_the_end() -> None:
    engine = ScriptedEngine(digits(depth=50))
    result = search(engine, REBASE, max_depth=3)
    assert {len(t.steps) for t in solutions(result)} == {3}
    assert all(t.text.endswith("and more") for t in solutions(result))


def test_the_whole_context_is_the_end() -> None:
    engine = ScriptedEngine(digits(depth=500), info=replace(INFO, context_tokens=200))
    result = search(engine, REBASE, sampling=Sampling(max_tokens=10_000), max_depth=500)
    assert {t.finish_reason for t in solutions(result)} == {"length"}


@every_policy
def test_identical_children_do_no_harm(name: str) -> None:
    def say(ask: Ask) -> Line:
        return Line("d7\n\n" if len(steps_of(ask)) < 2 else r"\boxed{14}")

    verifier = DigitVerifier()
    result = search(ScriptedEngine(whole(say)), POLICIES[name], verifier=verifier)
    assert {t.answer for t in solutions(result)} == {"14"}
    assert sorted(verifier.calls) == sorted(set(verifier.calls)), "equal prefixes are scored once"


@every_policy
def test_a_verifier_that_fails_now_and_then_costs_those_branches_only(name: str) -> None:
    verifier = DigitVerifier(fails=lambda t: t.text.startswith(("d0", "d3", "d6")))
    result = search(ScriptedEngine(digits(depth=2)), POLICIES[name], verifier=verifier)
    scored = [t for t in solutions(result) if t.scores["prm"].value is not None]
    assert scored
    assert not any(t.text.startswith(("d0", "d3", "d6")) for t in scored)


@every_policy
def test_a_verifier_that_always_fails_is_the_reason(name: str) -> None:
    verifier = DigitVerifier(fails=lambda t: True)
    result = search(ScriptedEngine(digits(depth=2)), POLICIES[name], verifier=verifier)
    # What is played out before it is scored is there all the same.
    assert (result.answer is not None) == POLICIES[name].plays_out
    assert "verifier 'prm' failed: ValueError: cannot read it" in "; ".join(result.facts.warnings)


def test_a_solution_without_a_score_is_sent_with_the_error() -> None:
    verifier = DigitVerifier(fails=lambda t: "boxed" in t.text)
    result = search(ScriptedEngine(digits(depth=1)), REBASE, verifier=verifier)
    assert {t.scores["prm"].value for t in solutions(result)} == {None}
    assert result.answer is not None, "an unweighted vote could still use it"


def test_failed_completions_end_their_branch() -> None:
    def say(ask: Ask) -> Line:
        line = digits(depth=2)(ask)
        return replace(line, error="out of luck") if ask.index == 1 else line

    result = search(ScriptedEngine(say), REBASE)
    assert solutions(result)
    assert "out of luck" in result.reason


def test_a_path_that_is_too_long_ends_alone() -> None:
    class Tight(ScriptedEngine):
        def generate(self, request: Any) -> Any:
            if len(request.prompt.token_ids) > 0 and request.seed % 2:
                self.fail_at = {len(self.requests): ContextError("it does not fit")}
            return super().generate(request)

    result = search(Tight(digits(depth=2)), BeamSearch(width=8, branching=2))
    reasons = {e["reason"] for e in noted(result, "fail")}
    assert reasons <= {"it does not fit"}
    assert not result.reason or result.reason.startswith("no trajectory gave an answer")


def test_a_problem_that_is_too_long_is_the_reason() -> None:
    engine = ScriptedEngine(digits(), fail_at={0: ContextError("the prompt does not fit")})
    result = search(engine, REBASE)
    assert result.reason == "tree_search: the prompt does not fit"


def test_a_dead_engine_ends_the_run() -> None:
    with pytest.raises(EngineError, match="the engine died"):
        search(ScriptedEngine(digits(depth=5), die_at=9), REBASE)


def test_a_policy_that_breaks_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SearchPolicy):
        def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
            if len(tree) > 1:
                raise RuntimeError("no idea")
            return Decision(expand=((0, 2),))

    result = search(ScriptedEngine(digits()), Broken())
    assert result.reason == "tree_search: no idea"


def test_zero_width_and_closed_nodes_are_not_expanded() -> None:
    class Odd(SearchPolicy):
        def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
            if len(tree) > 1:
                return Decision(expand=((0, 0), (1, 3)), prune={1: "changed its mind"})
            return Decision(expand=((0, 1),))

    result = search(ScriptedEngine(digits()), Odd())
    assert result.usage.calls == 1 and solutions(result) == []


def test_pruned_requests_are_aborted_while_they_run() -> None:
    class Impatient(SearchPolicy):
        @property
        def by_level(self) -> bool:
            return False

        def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
            if tree.num_expansions == 0:
                return Decision(expand=((0, 2),))
            slow = tree.with_state(NodeState.RUNNING).tolist()
            return Decision(prune=dict.fromkeys(slow, "too slow"))

    def say(ask: Ask) -> Line:
        return Line("d1\n\n", hangs=ask.index == 1)

    result = search(ScriptedEngine(say), Impatient())
    assert [e["reason"] for e in noted(result, "prune")] == ["too slow"]
    assert result.usage.calls == 2, "the aborted one is charged"


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(POLICIES)),
    tokens=st.none() | st.integers(1, 500),
    calls=st.none() | st.integers(1, 40),
)
def test_never_over_budget_and_it_says_so(name: str, tokens: int | None, calls: int | None) -> None:
    budget = Budget(tokens=tokens, calls=calls)
    result = search(ScriptedEngine(digits(depth=3)), POLICIES[name], budget=budget)
    assert (result.usage.generated_tokens or 0) <= (tokens or 10**9)
    assert result.usage.calls <= (calls or 10**9)
    if any(e["granted"] < e["asked"] for e in noted(result, "request")):
        assert "is spent" in result.reason


def test_a_budget_that_ends_in_mid_level_keeps_what_was_found() -> None:
    def say(ask: Ask) -> Line:
        return Line(r"\boxed{5}") if ask.index == 0 and not steps_of(ask) else digits(9)(ask)

    result = search(ScriptedEngine(say), REBASE, budget=Budget(calls=8))
    assert [t.answer for t in solutions(result)] == ["5"]
    assert "the budget of 8calls is spent" in result.reason


def test_a_deadline_ends_with_what_there_is() -> None:
    def say(ask: Ask) -> Line:
        if steps_of(ask):
            return Line("d5\n\n", hangs=True)
        return Line(r"\boxed{5}" if ask.index == 0 else "d5\n\n")

    result = search(ScriptedEngine(say), REBASE, budget=Budget(seconds=0.2))
    assert [t.answer for t in solutions(result)] == ["5"]
    assert "the deadline of 0.2 s passed" in result.reason


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(POLICIES)), turns=st.integers(0, 80))
@example(name="mcts", turns=61)  # while a pruned request is being aborted
def test_cancelled_at_any_moment_nothing_is_left(name: str, turns: int) -> None:
    async def run() -> None:
        engine = ScriptedEngine(digits(depth=3))
        runtime = Runtime(engine, verifiers={"prm": DigitVerifier()})
        pipeline = Pipeline.of(TreeSearch(policy=POLICIES[name]))
        task = asyncio.create_task(runtime.run(Job(pipeline, PROBLEM, Sampling(max_tokens=100))))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runtime.aclose()
        assert engine.num_running == 0
        assert len(asyncio.all_tasks()) == 1, "no task is left"
        held = runtime.ledger._reserved
        assert (held.calls, held.tokens) == (0, 0)

    asyncio.run(run())


def test_a_settled_vote_cancels_the_search() -> None:
    def say(ask: Ask) -> Line:
        if not steps_of(ask):
            return Line(r"\boxed{5}" if ask.index < 5 else "d5\n\n")
        return Line("d5\n\n", hangs=True)

    result = search(ScriptedEngine(say), tree_search(policy=REBASE) >> vote(stop_at=0.9))
    assert result.answer is not None and result.answer.support.votes == 3  # p > .9
    assert figures(result)["finished"] >= 3, "the tree is in the trace though it was cut short"


@pytest.mark.parametrize("name", ["rebase", "ets", "beam_search", "particle_filter"])
def test_a_killed_search_resumes_with_the_same_decisions(tmp_path: Path, name: str) -> None:
    path = tmp_path / "log.jsonl"
    with LogFile(path) as log:
        whole = search(ScriptedEngine(digits(depth=3)), POLICIES[name], log=log)
    drawn = num_completions(path)
    cut_log(path, drawn // 2)
    engine = ScriptedEngine(digits(depth=3))
    with LogFile(path) as log:
        resumed = search(engine, POLICIES[name], log=log)
    assert sum(request.n for request in engine.requests) == drawn - drawn // 2
    assert figures(resumed)["tree"] == figures(whole)["tree"]
    assert resumed.usage.generated_tokens == whole.usage.generated_tokens


def test_an_engine_without_token_ids_is_refused() -> None:
    engine = ScriptedEngine(digits(), capabilities=Capabilities(cancel=True))
    with pytest.raises(CapabilityError, match="needs prompts as token ids"):
        search(engine, REBASE)


@every_policy
def test_it_round_trips_through_yaml(name: str, tmp_path: Path) -> None:
    import yaml

    pipeline = tree_search(policy=POLICIES[name], max_depth=7)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"pipeline": pipeline.to_mapping()}))
    again = load_preset(str(path)).pipeline
    assert again.to_mapping() == pipeline.to_mapping()
    (node,) = [node for _, node in again]
    assert isinstance(node.operator, TreeSearch)
    assert node.operator.policy == POLICIES[name]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("{name: beam_serch}", "unknown policy 'beam_serch'; did you mean 'beam_search'"),
        ("{width: 3}", "a policy needs a `name`; there are: ab_mcts, backtracking, beam"),
        ("{name: best_of_n}", "'best_of_n' is no policy: the module .* lacks 'Policy'"),
        ("{name: rebase, width: 0}", "greater than or equal to 1"),
        ("{name: rebase, widht: 3}", "policy 'rebase' has no 'widht'; did you mean 'width'"),
    ],
)
def test_wrong_policies_are_refused(tmp_path: Path, policy: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"pipeline:\n  s: {{operator: tree_search, policy: {policy}}}\n")
    with pytest.raises(PresetError, match=message):
        load_preset(str(path))


@pytest.mark.parametrize("name", [*POLICIES, "lookahead"])
def test_every_search_preset_runs(name: str) -> None:
    assert name in catalog.names("strategy")
    result = search(ScriptedEngine(digits(depth=2)), load_preset(name).pipeline)
    assert result.answer is not None, result.reason
