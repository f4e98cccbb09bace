"""Texts of a model that spawns searches and of its twin: the same searches, and the wire's."""

import random
import re
from itertools import islice
from typing import get_args

import pytest

from tts.answers.exact import find_answer
from tts.bundled import spawn_traces
from tts.bundled.spawn_traces import PHRASES, Trace, Writing, examples, search
from tts.bundled.tokenizer import build_tokenizer
from tts.operators._wires import SearchWire
from tts.tasks import countdown
from tts.types import Problem

WIRE = SearchWire()


def puzzle(seed: int) -> tuple[Problem, Trace]:
    rng = random.Random(seed)
    drawn = countdown.draw_training_puzzle(rng, rng.choice([3, 4]), max_number=10)
    return countdown.to_problem(drawn, "p", 1), search(rng, drawn.numbers, drawn.target)


def nodes(text: str) -> list[str]:
    """Return the moves that a text explores, in order."""
    return re.findall(r"Exploring Operation: \S+, Resulting Numbers: \[.*\]", text)


@pytest.mark.parametrize("seed", range(30))
def test_calls_results_and_ways_are_those_of_the_wire(seed: int) -> None:
    problem, trace = puzzle(seed)
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


@pytest.mark.parametrize("seed", range(30))
def test_the_serial_writing_has_the_same_nodes_and_ends_at_the_first_goal(seed: int) -> None:
    problem, trace = puzzle(seed)
    root = WIRE.parent(problem, "", None).text
    assert trace.serial.startswith(root)
    # The parent's own moves, and at each call those of its children up to the first goal.
    begun = 0
    expected: list[str] = []
    for index, children in enumerate(trace.children):
        own = trace.parts[index][trace.seen[index] :]
        expected += nodes(own)
        for child in children:
            begun += 1
            expected += nodes(child.body)
            if child.goal is not None:
                break
    last = trace.parts[-1][trace.seen[-1] :]
    expected += nodes(last)
    assert nodes(trace.serial) == expected
    assert trace.serial.count("\nStart Sub Search at level 1: Moving to Node #") == begun
    # Both tell the same way in the end.
    spawned = WIRE.finished(problem, trace.parts[-1][len(root) :])
    serial = WIRE.finished(problem, trace.serial[len(root) :])
    assert find_answer(spawned, problem) == find_answer(serial, problem)
    assert "Sub Searches>" not in trace.serial


def test_twins_learn_from_the_same_puzzles_in_the_same_order() -> None:
    def puzzles(writing: Writing) -> list[str]:
        begins = (e.prompt for e in islice(examples(writing, 5), 200))
        roots = [text for text in begins if text.count("\n") == 1 and "Node #0\n" in text]
        return roots[:20]

    assert puzzles("spawn") == puzzles("serial")
    assert len(set(puzzles("serial"))) > 15


@pytest.mark.parametrize("writing", get_args(Writing))
def test_a_stream_hangs_on_its_seed_alone(writing: Writing) -> None:
    several = list(islice(examples(writing, 5), 40))
    assert several == list(islice(examples(writing, 5), 40))
    assert several != list(islice(examples(writing, 6), 40))


def test_small_puzzles_of_a_split_are_of_no_other() -> None:
    test, train = (
        {(*sorted(p.metadata["numbers"]), p.metadata["target"]) for p in islice(found, 40)}
        for found in (countdown.small_problems(split, 3) for split in ("test", "train"))
    )
    assert len(test) == len(train) == 40 and not test & train
    assert max(max(key[:3]) for key in test | train) <= countdown.SMALL_NUMBER


def test_phrases_and_numbers_are_single_tokens_and_a_prompt_ends_at_one() -> None:
    tokenizer = build_tokenizer(
        islice(spawn_traces.tokenizer_texts(), 400),
        vocabulary=spawn_traces.VOCABULARY,
        alone=spawn_traces.ALONE,
        phrases=PHRASES,
    )
    assert tokenizer.tokenize(
        "Exploring\nExploring Operation: 9+13=22, Resulting Numbers: [4, 22]"
    )[-11:] == [
        *("\nExploring Operation: ", "9", "+", "13", "=", "22"),
        PHRASES[11],
        *"4",
        ", ",
        "22",
        "]",
    ]
    for example in islice(examples("spawn", 5), 60):
        whole = tokenizer(example.prompt + example.response)["input_ids"]
        begin = tokenizer(example.prompt)["input_ids"]
        assert whole[: len(begin)] == begin
        assert tokenizer.decode(begin, skip_special_tokens=True) == example.prompt
