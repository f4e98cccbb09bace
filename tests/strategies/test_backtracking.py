"""Depth-first search with backtracking: its moves by hand, and whole searches."""

from tests.support.searching import digits, grow, new_tree, search, solutions, steps_of
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.search.tree import ROOT, SearchTree
from tts.strategies.backtracking import Config, Policy, build, next_node


def move(tree: SearchTree) -> int | None:
    return next_node(tree, branching=2, threshold=0.5)


def test_its_moves() -> None:
    tree = new_tree()
    assert move(tree) == ROOT
    grow(tree, ROOT, [0.8])
    assert move(tree) == 1  # good: deeper
    grow(tree, 1, [0.2])
    assert move(tree) == 1  # bad: the same place again
    grow(tree, 1, [0.3])
    assert move(tree) == ROOT  # two tries are enough: one step back
    grow(tree, ROOT, [0.1])
    # Every way is used up, so the best rejected step (node 3 with 0.3) is taken up after all.
    assert move(tree) == 3
    grow(tree, 3, [0.4], finished=[0])
    assert move(tree) is None


def test_the_threshold_belongs_to_the_good() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.5])
    assert move(tree) == 1


def test_it_turns_back_and_finds_the_way() -> None:
    def say(ask: Ask) -> Line:
        steps = steps_of(ask)
        if steps == ["d9", "d8"]:
            return Line(r"\boxed{17}")
        # First d7, whose children are all bad; then d9, and d8 after it.
        return Line({(): "d9", ("d9",): "d8"}.get(tuple(steps), "d1") + "\n\n")

    def start(ask: Ask) -> Line:
        asked.append(ask.prompt)
        return Line("d7\n\n") if len(asked) == 1 else say(ask)

    asked: list[str] = []
    engine = ScriptedEngine(start)
    result = search(engine, build(Config(branching=2)))
    assert result.answer is not None and result.answer.text == "17"
    # d7, two bad tries below it, d9, d8, the solution.
    assert result.usage.calls == 6
    assert all(request.n == 1 for request in engine.requests)


def test_it_ends_after_its_steps() -> None:
    result = search(ScriptedEngine(digits(depth=100)), Policy(steps=7))
    assert result.usage.calls == 7
    assert solutions(result) == []
