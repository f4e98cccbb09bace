"""MCTS: selection by hand, virtual loss, and whole searches."""

import math

import pytest

from tests.support.searching import digits, expanded, grow, new_tree, search, solutions
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.search.tree import ROOT
from tts.strategies import mcts
from tts.strategies.mcts import Config, Policy, build, path_ends, puct, repeated_steps, uct


def test_formulas() -> None:
    # 0.5 + 1.4142 sqrt(ln 10 / 4) = 0.5 + 1.4142 * 0.75871
    assert uct(0.5, 10, 4, math.sqrt(2)) == pytest.approx(1.57298, abs=1e-5)
    # c(9) = ln(19662 / 19652) + 1.25 = 1.250509; 0.5 + 0.25 * c * 3 / 5
    assert puct(0.5, 0.25, 9, 4) == pytest.approx(0.687576, abs=1e-6)


def test_one_at_a_time_it_first_follows_the_reward() -> None:
    tree = new_tree()
    policy = Policy(branching=2, parallel=1, prior="uniform")
    assert expanded(policy, tree) == {ROOT: 2}
    grow(tree, ROOT, [0.9, 0.6])
    # N = 2, n = 1 each, p = 1/2 each: the bonuses are equal, so Q decides.
    assert expanded(policy, tree) == {1: 2}
    grow(tree, 1, [0.1, 0.2])
    assert expanded(policy, tree) == {4: 2}  # the path goes on, however poor
    grow(tree, 4, [0.1, 0.1], finished=[0])
    # Child 1: Q = 1.4 / 5 = .28, n = 5; child 2: Q = .6, n = 1; the bonus favours 2 as well.
    assert expanded(policy, tree) == {2: 2}


def test_a_path_is_played_to_its_end_beyond_the_last_expansion() -> None:
    tree = new_tree()
    policy = Policy(branching=2, parallel=2, expansions=2, prior="uniform")
    grow(tree, ROOT, [0.9, 0.1])
    assert path_ends(tree) == [ROOT]
    assert expanded(policy, tree) == {1: 2}  # as many as are left
    grow(tree, 1, [0.5, 0.6])
    assert path_ends(tree) == [1]
    assert expanded(policy, tree) == {4: 2}
    grow(tree, 4, [0.5, 0.6], finished=[1])
    assert path_ends(tree) == []
    assert expanded(policy, tree) == {}


def test_a_path_whose_steps_all_repeat_is_over() -> None:
    tree = new_tree()
    policy = Policy(branching=2, parallel=1, prior="uniform")
    grow(tree, ROOT, [0.9, 0.1])
    tree.add_children(1, 2)
    for child in (3, 4):
        tree.fail(child, "no completion")
    assert expanded(policy, tree) == {2: 2}
    grow(tree, 2, [0.1, 0.1], texts=["same", "same"])
    assert path_ends(tree, [6]) == [2]
    assert path_ends(tree, [5, 6]) == []


def test_virtual_loss_spreads_parallel_expansions() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.9, 0.8, 0.1])
    policy = Policy(branching=4, parallel=2, prior="uniform")
    # After 1 is chosen it counts 4 visits more with nothing won: Q = .9 / 5 = .18, bonus
    # 1/3 * 1.25 * sqrt(7) / 6 = .18; child 2 has .8 and a larger bonus.
    assert expanded(policy, tree) == {1: 4, 2: 4}
    tree.add_children(1, 4)
    assert expanded(policy, tree) == {2: 4}  # one of two still runs


def test_a_likely_step_is_preferred_by_its_prior() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.5, 0.5])
    tree.prior[1], tree.prior[2] = 0.1, 0.3
    assert expanded(Policy(parallel=1), tree) == {2: 4}
    assert expanded(Policy(parallel=1, prior="uniform"), tree) == {1: 4}


def test_solutions_and_exhausted_subtrees_are_not_selected() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.9, 0.8, 0.1], finished=[0])
    grow(tree, 2, [0.9], finished=[0])
    assert expanded(Policy(parallel=4), tree) == {3: 4}


def test_equal_solutions_are_one() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.9, 0.8, 0.1], texts=["s", "s", "t"], finished=[0, 1])
    assert expanded(Policy(solutions=2), tree) == {3: 4}
    assert expanded(Policy(solutions=1), tree) == {}


def test_repeated_steps_are_given_up() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.5, 0.5, 0.5], texts=["a", "b", "a"])
    grow(tree, 2, [0.5], texts=["a"])  # the same text elsewhere is another step
    assert repeated_steps(tree) == [3]
    decision = Policy().decide(tree, None)  # type: ignore[arg-type]
    assert decision.prune == {3: "says the same as a sibling"}


def test_only_puct_with_a_prior_needs_logprobs() -> None:
    assert Policy().logprobs == 1
    assert Policy(prior="uniform").logprobs == 0
    assert Policy(rule="uct").logprobs == 0
    (node,) = [node for _, node in build(Config()) if node.operator.spec.accepts is None]
    assert node.operator.spec.needs == {"token_ids", "logprobs"}


@pytest.mark.parametrize("rule", ["puct", "uct"])
def test_a_whole_search(rule: str) -> None:
    pipeline = mcts(branching=3, expansions=30, solutions=4, rule=rule)
    result = search(ScriptedEngine(digits(depth=2)), pipeline)
    assert result.answer is not None
    assert result.answer.support.voters >= 4
    assert result.usage.calls <= (30 + 4 * 2) * 3  # 4 in parallel; paths of two steps are ended


def test_the_reward_leads_to_the_rare_good_branch() -> None:
    def say(ask: Ask) -> Line:
        steps = ask.prompt.rpartition("<assistant>")[2].split("\n\n")[:-1]
        if len(steps) == 3:
            return Line(rf"\boxed{{{steps[0][1]}}}")
        good = (not steps and ask.index == 2) or (steps and steps[0] == "d9")
        return Line(("d9" if good else f"d{ask.index}") + "\n\n")

    result = search(ScriptedEngine(say), Policy(branching=4, parallel=1, solutions=1))
    assert {t.answer for t in solutions(result)} == {"9"}
