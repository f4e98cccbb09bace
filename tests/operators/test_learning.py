"""Problems that learn from those before them: concepts as hints, solved ones as examples."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.support.results import noted
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts import prompts
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine
from tts.errors import ParameterError, PresetError
from tts.operators._learning import Library
from tts.operators.concepts import concepts
from tts.operators.examples import Example, ExampleLibrary, examples
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.presets.load import load_preset
from tts.runtime.job import Job
from tts.runtime.memory import Memory, MemoryFile
from tts.runtime.runtime import Runtime
from tts.types import Kept, Problem, Result, Sampling

VOTES = sample(n=2) >> vote()


def problem(number: int, words: str = "apples") -> Problem:
    return Problem(
        f"p{number}",
        f"Count {words} number {number}.",
        answer_type="integer",
        reference=f"{number}",
    )


def run(
    engine: ScriptedEngine | Script,
    pipeline: Pipeline,
    problems: Sequence[Problem],
    *,
    memory: Memory | None = None,
    engines: dict[str, ScriptedEngine] | None = None,
    seed: int = 0,
) -> list[Result]:
    """Run problems as a run does; results in the problems' order."""
    asked = engine if isinstance(engine, ScriptedEngine) else ScriptedEngine(engine)

    async def work() -> list[Result]:
        jobs = Job.of_all(pipeline, problems, sampling=Sampling(max_tokens=400), seed=seed)
        async with (
            Runtime(asked, engines=engines, memory=memory) as runtime,
            runtime.run_many(jobs) as results,
        ):
            found = {result.problem.id: result async for result in results}
        return [found[each.id] for each in problems]

    return asyncio.run(work())


def number_in(prompt: str) -> int:
    """Return the number of the problem that a prompt asks about: the last one that it shows."""
    return int(re.findall(r"number (\d+)\.", prompt)[-1])


def pupil(ask: Ask) -> Line:
    """Solves problem i with the answer i, and writes the concept i of it."""
    number = number_in(ask.prompt)
    if prompts.WRITE_CONCEPTS in ask.prompt:
        return Line(f"```yaml\n- name: idea {number}\n  description: about {number}\n```")
    if "Reply with the names" in ask.prompt:
        return Line("idea 1\nidea 7\nidea 0")
    return Line(boxed(number))


def asked(engine: ScriptedEngine, words: str) -> list[str]:
    """Return the prompts that hold the words, as text."""
    shown = ["\n".join(m.content for m in request.prompt.messages) for request in engine.requests]
    return [text for text in shown if words in text]


def hints(engine: ScriptedEngine) -> list[list[str]]:
    """Return the concepts that were shown to each request for a solution, in order."""
    found = re.compile(r"^- (idea \d+)", re.MULTILINE)
    return [found.findall(text) for text in asked(engine, "Reason step by step")]


def test_each_problem_is_shown_what_those_before_it_taught() -> None:
    engine = ScriptedEngine(pupil)
    results = run(engine, concepts(body=VOTES), [problem(i) for i in range(3)])
    assert hints(engine) == [[], ["idea 0"], ["idea 0", "idea 1"]]
    assert [noted(result, "hints")[0]["known"] for result in results] == [0, 1, 2]
    # The hints come before the problem, and the concepts' author is told the names that there are.
    assert asked(engine, "number 2.")[0].startswith(prompts.HINTS)
    assert "Known ideas: idea 0, idea 1" in asked(engine, prompts.WRITE_CONCEPTS)[-1]


def test_problems_of_a_batch_run_beside_each_other_and_do_not_read_each_other() -> None:
    engine = ScriptedEngine(pupil)
    run(engine, concepts(body=VOTES, batch=2), [problem(i) for i in range(4)])
    ideas = ["idea 0", "idea 1"]
    assert hints(engine) == [[], [], ideas, ideas]


def test_an_empty_memory_asks_what_the_body_alone_would_ask() -> None:
    engine, alone = ScriptedEngine(pupil), ScriptedEngine(pupil)
    run(engine, concepts(body=VOTES, learn="never"), [problem(i) for i in range(2)])
    run(alone, VOTES, [problem(i) for i in range(2)])
    said = [request.prompt for request in engine.requests]
    assert said == [request.prompt for request in alone.requests]


def test_a_problem_that_runs_alone_reads_and_leaves_nothing() -> None:
    engine = ScriptedEngine(pupil)
    first = solve(engine, concepts(body=VOTES), problem=problem(0))
    second = solve(engine, concepts(body=VOTES), problem=problem(1))
    assert first.answer is not None and noted(second, "hints") == [{"known": 0, "shown": 0}]


def test_a_model_selects_where_there_are_more_than_are_shown() -> None:
    engine = ScriptedEngine(pupil)
    run(engine, concepts(body=VOTES, hints=2), [problem(i) for i in range(4)])
    # Three are known to the last problem: it names 1, one that there is not, and 0.
    assert hints(engine)[-1] == ["idea 1", "idea 0"]
    assert "- idea 2: about 2" in asked(engine, "Reply with the names")[0]


def test_hints_keep_to_their_tokens() -> None:
    # "- idea 0, a routine: about 0" has 28 characters, each a token of the script's.
    for room, shown in ((27, []), (28, ["idea 0"]), (56, ["idea 0", "idea 1"])):
        engine = ScriptedEngine(pupil)
        run(engine, concepts(body=VOTES, max_hint_tokens=room), [problem(i) for i in range(3)])
        assert hints(engine)[-1] == shown, room


@pytest.mark.parametrize(
    ("learn", "known"),
    [
        ("support", 1),  # problem 0 has both votes; of problem 1 the votes are 1 : 1
        ("label", 1),  # problem 1 is right by its reference; problem 0 is not
        ("never", 0),
    ],
)
def test_what_is_learnt_from(learn: Literal["support", "label", "never"], known: int) -> None:
    def line(ask: Ask) -> Line:
        if "Reason step" not in ask.prompt:
            return pupil(ask)
        return Line(boxed({0: 9, 1: 1 + ask.index}.get(number_in(ask.prompt), 0)))

    memory = Memory()
    pipeline = concepts(body=VOTES, learn=learn)
    results = run(line, pipeline, [problem(i) for i in range(3)], memory=memory)
    assert noted(results[2], "hints")[0]["known"] == known
    learnt = memory.read(Job.of(pipeline, "q", priority=2), "concepts", 1, Library).kept
    names = [kept.problem for kept in learnt]
    assert names == {"support": ["p0"], "label": ["p1"], "never": []}[learn]


def test_a_label_is_right_where_a_vote_would_call_it_equal() -> None:
    """sqrt(8) and 2 sqrt(2) have two forms and are one answer; x + 1 is another one."""
    references = ["\\sqrt{8}", "\\sqrt{8}", "\\sqrt{8}"]
    written = ["2\\sqrt{2}", "x + 1", "\\sqrt{8}"]
    problems = [
        Problem(f"p{i}", f"Count roots number {i}.", answer_type="math", reference=reference)
        for i, reference in enumerate(references)
    ]

    def line(ask: Ask) -> Line:
        if "Reason step" not in ask.prompt:
            return pupil(ask)
        return Line(f"\\boxed{{{written[number_in(ask.prompt)]}}}")

    memory = Memory()
    pipeline = concepts(body=VOTES, learn="label")
    run(line, pipeline, problems, memory=memory)
    learnt = memory.read(Job.of(pipeline, "q", priority=3), "concepts", 1, Library).kept
    assert [kept.problem for kept in learnt] == ["p0", "p2"]


def test_lessons_that_cannot_be_read_are_a_warning_and_the_answer_stays() -> None:
    engine = ScriptedEngine(lambda ask: Line(boxed(number_in(ask.prompt))))
    first, second = run(engine, concepts(body=VOTES), [problem(0), problem(1)])
    assert "could not be read" in first.reason
    assert second.answer is not None and noted(second, "hints")[0]["known"] == 0


def test_repeats_learn_apart() -> None:
    memory, engine = Memory(), ScriptedEngine(pupil)
    run(engine, concepts(body=VOTES), [problem(0)], memory=memory)
    run(engine, concepts(body=VOTES), [problem(1), problem(2)], memory=memory, seed=1)
    assert hints(engine) == [[], [], ["idea 1"]]


def test_another_runs_memory_is_known_from_the_beginning_but_for_the_problem_itself(
    tmp_path: Path,
) -> None:
    path = tmp_path / "memory.jsonl"
    store = MemoryFile(path)
    run(ScriptedEngine(pupil), concepts(body=VOTES), [problem(i) for i in range(3)], memory=store)
    store.close()
    frozen = concepts(body=VOTES, start=str(path), learn="never")
    engine = ScriptedEngine(pupil)
    same_text = Problem("other", " count APPLES number 0. ", answer_type="integer")
    run(engine, frozen, [problem(1), problem(5), same_text])
    assert hints(engine) == [
        ["idea 0", "idea 2"],
        ["idea 0", "idea 1", "idea 2"],
        ["idea 1", "idea 2"],
    ]


def test_a_memory_that_is_missing_is_told_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match=r"start: .*gone\.jsonl is missing"):
        load_preset("concept_memory", [f"start={tmp_path / 'gone.jsonl'}"])
    with pytest.raises(ParameterError, match="must begin with a source"):
        concepts(body=vote())


# Solved problems as examples.


def kept(number: int, solution: str | None, shown: Sequence[str] = (), **values: Any) -> Kept:
    said = {
        "statement": f"Count apples number {number}.",
        "solution": solution,
        "shown": list(shown),
        "is_solved": solution is not None,
    }
    return Kept(number, 0, "examples", f"p{number}", {**said, **values})


def test_what_was_shown_in_vain_is_worth_less() -> None:
    # Of one text, so that all cosines are equal. p0 was shown twice and one of these was solved:
    # (1 + 1) / (1 + 2) = 2/3; p1 once, in vain: 1/2; p3 never: 1.
    memory = [
        kept(0, "a"),
        kept(1, "b", ["p0"]),
        kept(2, None, ["p0", "p1"]),
        kept(3, "c"),
    ]
    same = [Kept(k.place, 0, k.node, k.problem, {**k.values, "statement": "one"}) for k in memory]
    library = ExampleLibrary()
    assert library.nearest("one", own=[], least=0.0, most=2) == []
    for each in same:
        library.read(each)
    found = library.nearest("one", own=[], least=0.5, most=2)
    assert [(one.problem, round(one.worth, 4)) for one in found] == [("p3", 1.0), ("p0", 0.6667)]
    assert library.nearest("zzz", own=[], least=0.5, most=2) == []
    assert isinstance(found[0], Example)
    # Without line 1, p0 was shown once, in vain: 1/2.
    found = library.nearest("one", own={1}, least=0.5, most=4)
    assert [(one.problem, round(one.worth, 4)) for one in found] == [("p3", 1.0), ("p0", 0.5)]


def test_solved_problems_stand_before_the_next_as_turns_of_the_chat() -> None:
    engine = ScriptedEngine(pupil)
    results = run(engine, examples(body=VOTES), [problem(i) for i in range(3)])
    turns = [[message.role for message in request.prompt.messages] for request in engine.requests]
    assert turns == [["user"], ["user", "assistant", "user"], ["user", "assistant"] * 2 + ["user"]]
    second = engine.requests[1].prompt.messages
    assert second[1].content == boxed(0) and "number 0." in second[0].content
    assert [noted(result, "examples")[0]["shown"] for result in results] == [0, 1, 2]


def test_examples_keep_to_their_tokens_and_to_their_likeness() -> None:
    engine = ScriptedEngine(pupil)
    size = len(f"Count apples number 0.\n{boxed(0)}")  # a character is a token of the script's
    run(engine, examples(body=VOTES, max_example_tokens=size), [problem(i) for i in range(3)])
    assert [len(request.prompt.messages) for request in engine.requests] == [1, 3, 3]
    engine = ScriptedEngine(pupil)
    run(engine, examples(body=VOTES, least=0.9), [problem(0), problem(1, "wheels of bicycles")])
    assert [len(request.prompt.messages) for request in engine.requests] == [1, 1]


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        # The small engine is always wrong. Unknown, it is asked first; then the large one is.
        (0.0, [False, True, True, True]),
        # Where the large one must add more than everything, both are worth nothing or less.
        (2.0, [False, True, False, False]),
    ],
)
def test_the_bandit_learns_which_engine_to_ask(price: float, expected: list[bool]) -> None:
    small = ScriptedEngine(lambda ask: Line(boxed(-1)))
    large = ScriptedEngine(pupil)
    pipeline = examples(body=VOTES, large="big", large_price=price, learn="label", curiosity=0.1)
    results = run(small, pipeline, [problem(i) for i in range(4)], engines={"big": large})
    assert [noted(result, "examples")[0]["is_large"] for result in results] == expected
    assert all(len(request.prompt.messages) == 1 for request in large.requests)


# The store.


class Counting:
    """Reads lines, and notes their places."""

    def __init__(self) -> None:
        self.places: list[int] = []

    def read(self, kept: Kept) -> None:
        self.places.append(kept.place)


def test_each_line_is_read_once_however_many_problems_ask() -> None:
    memory, made = Memory(), list[Counting]()

    def make() -> Counting:
        made.append(Counting())
        return made[-1]

    def read(place: int, batch: int = 2) -> list[int]:
        return memory.read(Job.of(VOTES, "q", priority=place), "examples", batch, make).places

    for place in (1, 0, 2, 3, 5, 4):  # of a batch in any order
        assert read(place) == list(range(place // 2 * 2))
        if place % 2 == 0:
            memory.add(kept(place, "s"))
            memory.add(kept(place + 1, "s"))
    assert len(made) == 1
    # Whoever asks from further back, or after a line among those that were read, begins anew.
    assert read(2) == [0, 1] and read(6) == list(range(6)) and len(made) == 2
    memory.add(Kept(3, 0, "examples", "late", {}))
    assert read(6) == [0, 1, 2, 3, 3, 4, 5] and len(made) == 3
    assert memory.read(Job.of(VOTES, "q", priority=6), "examples", 2, Counting).places


def test_what_was_kept_survives_a_torn_line_and_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "memory.jsonl"
    store = MemoryFile(path)
    assert not path.exists()  # runs that keep nothing have no such file
    for number in range(3):
        store.add(kept(number, "s"))
    store.close()
    path.write_bytes(path.read_bytes()[:-5])
    again = MemoryFile(path)
    again.add(kept(1, "another text"))
    again.add(kept(2, "s"))
    again.close()
    job = Job.of(VOTES, "q", priority=3)
    read = MemoryFile(path).read(job, "examples", 1, Library).kept
    assert read == [kept(i, "s") for i in range(3)]
    assert [json.loads(line)["problem"] for line in path.read_text().splitlines()] == [
        "p0",
        "p1",
        "p2",
    ]
