"""Best-first search: the order of expansion by hand, and whole searches."""

from tests.support.searching import digits, expanded, grow, new_tree, search, solutions, steps_of
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.search.tree import ROOT
from tts.strategies.best_first import Config, Policy, best_leaves, build


def test_the_best_leaf_is_expanded_whatever_its_depth() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.5, 0.9])
    grow(tree, 2, [0.4, 0.5])
    assert best_leaves(tree, 3) == [4, 1, 3]  # 4 and 1 both 0.5: the deeper one first


def test_as_many_as_there_is_room_for() -> None:
    tree = new_tree()
    policy = Policy(branching=2, parallel=2, expansions=10, solutions=2)
    assert expanded(policy, tree) == {ROOT: 2}
    grow(tree, ROOT, [0.5, 0.9, 0.7])
    assert expanded(policy, tree) == {2: 2, 3: 2}
    tree.add_children(2, 2)  # one of two expansions runs
    assert expanded(policy, tree) == {3: 2}
    tree.add_children(3, 2)
    assert expanded(policy, tree) == {}


def test_it_ends_with_its_solutions_and_gives_up_the_rest() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.5, 0.9], finished=[0])
    tree.add_children(2, 1)
    decision = Policy(solutions=1).decide(tree, None)  # type: ignore[arg-type]
    assert decision.expand == () and decision.prune == {3: "enough solutions"}


def test_it_ends_when_its_expansions_are_used_up() -> None:
    result = search(ScriptedEngine(digits(depth=30)), build(Config(branching=2, expansions=5)))
    assert result.usage.calls == 10
    assert result.answer is None


def test_nobody_waits_for_a_slow_branch() -> None:
    def say(ask: Ask) -> Line:
        steps = steps_of(ask)
        if not steps:
            return Line(f"d{9 - ask.index}\n\n", ticks=5)
        if steps[0] == "d9" and len(steps) == 1:
            return Line("d1\n\n", hangs=True)  # the most promising branch never comes back
        return Line(f"\\boxed{{{steps[0][1]}}}" if len(steps) == 3 else "d5\n\n")

    policy = Policy(branching=2, parallel=2, solutions=1)
    result = search(ScriptedEngine(say), policy)
    assert {t.answer for t in solutions(result)} == {"8"}
    assert "abort" in {event.kind for event in result.trace}
