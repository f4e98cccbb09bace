"""Texts of a model that spawns searches: what the operator reads of them, and writes into them."""

import random
from itertools import islice

import pytest

from tts.answers.exact import find_answer
from tts.bundled.spawn_traces import examples, search
from tts.operators._wires import SearchWire
from tts.tasks import countdown
from tts.types import Problem

WIRE = SearchWire()


def puzzle(seed: int) -> tuple[Problem, random.Random]:
    rng = random.Random(seed)
    drawn = countdown.draw_training_puzzle(rng, rng.choice([3, 4]))
    return countdown.to_problem(drawn, "p", 1), rng


@pytest.mark.parametrize("seed", range(30))
def test_calls_results_and_ways_are_those_of_the_wire(seed: int) -> None:
    problem, rng = puzzle(seed)
    trace = search(rng, problem.metadata["numbers"], problem.metadata["target"])
    root = WIRE.parent(problem, "", None).text
    assert len(trace.parts) == len(trace.children) + 1
    assert trace.seen[0] == len(root)
    for index, children in enumerate(trace.children):
        text = trace.parts[index][len(root) :].rstrip("\n")
        calls = WIRE.calls(problem, text)
        found = []
        for call, child in zip(calls, children, strict=True):
            (part,), (seen,) = child.parts, child.seen
            assert part[:seen] == WIRE.child(problem, call).text
            found.append(WIRE.found(problem, call, part[seen:]))
            assert (found[-1] is None) == (child.goal is None)
        joined = root + WIRE.join(text, calls, found)
        assert trace.parts[index + 1][: trace.seen[index + 1]] == joined
    answer = find_answer(WIRE.finished(problem, trace.parts[-1][len(root) :]), problem)
    assert (answer is not None) == (trace.goal is not None)
    assert answer is None or countdown.check_answer(problem, answer)


def test_a_stream_hangs_on_seed_and_place_alone() -> None:
    several = list(islice(examples(5), 40))
    assert several == list(islice(examples(5), 40))
    later = next(examples(5, start=1))
    assert later in several and later != several[0]
