"""`tts bench spawn`: figures by hand, and both models played by the searches that they learn."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.bench.spawn_figures import Attempt, Row, expected, measure
from tts.bundled.spawn_traces import Trace, search
from tts.engine import running
from tts.engine.scripted import ALL, Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.errors import InputError
from tts.tasks import countdown

Tts = Callable[..., Outcome]


def rows_of(limit: str, rows: list[Row]) -> dict[float, Row]:
    return {row.size: row for row in rows if row.limit == limit}


def test_figures_by_hand() -> None:
    # Spawning takes 300 tokens, 100 of them one after the other; its twin 150, all in turn.
    spawn = [[Attempt(True, 300, 100, 60)] * 2, [Attempt(False, 300, 100, 60)] * 2]
    twin = [
        [Attempt(True, 100, 100, 110), *[Attempt(False, 200, 200, 210)] * 3],
        [Attempt(True, 100, 100, 110), *[Attempt(True, 200, 200, 210)] * 3],
    ]
    found = measure("p", spawn, twin, seed=0)
    assert (found.spawn.tokens, found.spawn.sequence, found.spawn.context) == (300, 100, 60)
    assert found.serial.tokens == 175
    assert found.ratio == pytest.approx(300 / 175)
    context = rows_of("context", list(found.rows))
    assert list(context) == [64, 128, 256]
    # Within 64 no attempt of the twin ends. Within 128 one of four does, and is right.
    assert (context[64].spawn.mean, context[64].serial.mean) == (0.5, 0.0)
    assert context[128].serial.mean == 0.25
    # 12/7 attempts are one or, with a chance of 5/7, two: 2/7 * 1/4 + 5/7 * 1/2.
    assert context[128].equal.mean == pytest.approx(2 / 7 / 4 + 5 / 7 / 2)
    # In all: one of four in the first puzzle, each in the second.
    assert context[256].serial.mean == (0.25 + 1) / 2
    assert context[256].to_serial.mean == pytest.approx(0.5 - 0.625)
    sequence = rows_of("sequence", list(found.rows))
    assert list(sequence) == [128, 256]  # nothing is right within 64
    assert (sequence[128].spawn.mean, sequence[128].serial.mean) == (0.5, 0.25)
    (one, two) = rows_of("tokens", list(found.rows)).values()
    assert (one.n, one.size, two.n, two.size) == (1, 300, 2, 600)
    # Twice 12/7 attempts are three or, with a chance of 3/7, four; side by side two take 200
    # tokens unless both are the short one, which there is only once: 1/2 * 200 + 1/2 * 200.
    assert two.equal.mean == pytest.approx((4 / 7 * 3 / 4 + 3 / 7 + 1) / 2)
    assert found.longest == pytest.approx(2 / 7 * 175 + 5 / 7 * 200)


def test_too_few_attempts_of_the_twin_are_refused() -> None:
    with pytest.raises(InputError, match=r"as many tokens as 3\.0 of its twin"):
        measure("p", [[Attempt(True, 300, 100, 60)]], [[Attempt(True, 100, 100, 110)] * 2], seed=0)


def test_a_number_between_two_is_one_of_them_by_chance() -> None:
    assert expected(lambda n: n * n, 2.25) == 4 + 0.25 * (9 - 4)
    assert expected({3: 7.0}.__getitem__, 3.0) == 7.0


def play(model: str, problems: int) -> Callable[[Ask], Line]:
    """Return a script that writes the searches of puzzles as a model that has learned all."""
    told: dict[str, str] = {}

    def learn(text: str, seen: int) -> None:
        told[text[:seen]] = text[seen:]

    for size in (3, 4):
        for problem in islice(countdown.small_problems("test", size), problems):
            numbers, target = countdown.puzzle_of(problem)
            trace = search(random.Random(problem.id), numbers, target)
            if model == "serial":
                learn(trace.serial, trace.seen[0])
                continue
            traces: list[Trace] = [trace, *(child for call in trace.children for child in call)]
            for one in traces:
                for text, seen in zip(one.parts, one.seen, strict=True):
                    learn(text, seen)
    return lambda ask: Line(told[ask.prompt])


def test_the_same_searches_solve_the_same_and_spawned_ones_need_less_at_a_time(
    tts: Tts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        script = play(Path(spec.model).name, 4)
        return ScriptedEngine(script, capabilities=replace(ALL, thoughts=False))

    monkeypatch.setattr(running, "make_engine", make_engine)
    words = ("--problems", "4", "--samples", "4", "--tokens", "200000", "--json")
    done = tts("bench", "spawn", "spawn", "serial", *words)
    assert done.code == 0, done.err
    for cell in done.json["cells"]:
        last = [row for row in cell["rows"] if row["limit"] == "context"][-1]
        assert last["spawn"]["mean"] == last["serial"]["mean"] > 0
        assert cell["spawn"]["tokens"] > cell["serial"]["tokens"]
        assert cell["spawn"]["context"] < cell["serial"]["context"]
        assert cell["serial"]["sequence"] == cell["serial"]["tokens"]
    assert done.json["cells"][1]["spawn"]["sequence"] < done.json["cells"][1]["serial"]["sequence"]
