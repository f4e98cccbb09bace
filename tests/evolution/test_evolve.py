"""Whole runs on a script: they climb, go on after a kill, and stay within their budget."""

import asyncio
import itertools
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.sandboxes import open_sandbox
from tts.engine.scripted import Ask, Line, ScriptedEngine, render
from tts.errors import EngineError, InputError, StoreError
from tts.evolution.evolve import Config, Evolution, Found
from tts.evolution.store import BEST, GENERATIONS
from tts.session.runtime import Runtime
from tts.storage.folder_lock import lock_folder
from tts.storage.sealed_lines import read_lines
from tts.types import Usage
from tts.verifiers._sandbox.sandbox import Limits
from tts.verifiers.evaluator import Config as EvaluatorConfig
from tts.verifiers.evaluator import Evaluated, Evaluator, EvaluatorVerifier

FIRST = "def f():\n    return 1\n"
MEASURE = """
def evaluate(program):
    value = program.f()
    if value == 5:
        raise ValueError("five is right out")
    return {"score": value, "hint": f"{value + 1} would be better"}
def held_out(program):
    return 10 * program.f()
"""
HILL = Config(islands=1, explore=0, exploit=1, archive=1, max_tokens=200)


class Counting(EvaluatorVerifier):
    """Counts what it evaluates."""

    def __init__(self) -> None:
        open_sandbox(Limits())  # skips where there is none
        super().__init__(EvaluatorConfig(parallel=1, seconds=5))
        self.codes: list[str] = []

    async def evaluate(self, evaluator: Evaluator, code: str, *, stages: object = ()) -> Evaluated:
        if not stages:
            self.codes.append(code)
        return await super().evaluate(evaluator, code, stages=stages)  # type: ignore[arg-type]


def one_more(ask: Ask) -> Line:
    """Raise the number of the program by one."""
    number = int(re.findall(r"return (\d+)", ask.prompt)[0])
    return Line(
        f"<<<<<<< SEARCH\n    return {number}\n=======\n    return {number + 1}\n>>>>>>> REPLACE"
    )


def run(
    folder: Path,
    iterations: int,
    *,
    config: Config = HILL,
    measure: str = MEASURE,
    first: str = FIRST,
    budget: str | None = None,
    lost: Collection[int] = (),
) -> tuple[Found, ScriptedEngine, Counting]:
    """Run on a script; requests of the numbers `lost` fail."""
    numbers = itertools.count()

    def say(ask: Ask) -> Line:
        return Line("", error="busy") if next(numbers) in lost else one_more(ask)

    engine, verifier = ScriptedEngine(say), Counting()

    async def main() -> Found:
        evaluator = Evaluator(measure, "evaluator.py")
        runtime = Runtime(engine, log=folder / GENERATIONS, run_budget=budget)
        try:
            async with runtime:
                evolution = Evolution(runtime, verifier, evaluator, first, config, folder=folder)
                return await evolution.run(iterations, lambda program: None)
        finally:
            await verifier.aclose()

    return asyncio.run(main()), engine, verifier


def without_usage(found: Found) -> Found:
    return replace(found, usage=Usage())


def lines_of(folder: Path) -> list[dict[str, object]]:
    return [line.values for line in read_lines(folder / "programs.jsonl")]


def test_it_climbs_and_says_what_nobody_chose_by(tmp_path: Path) -> None:
    found, engine, _ = run(tmp_path, 3)
    # 1, then 2, 3, 4: each answer improves on the best, which alone is kept.
    assert (found.first.score, found.best.score, found.best.number) == (1, 4, 3)
    assert (found.asked, found.scored, found.held_out) == (3, 3, (10, 40))
    assert (tmp_path / BEST).read_text() == "def f():\n    return 4\n"
    assert [line["parent"] for line in lines_of(tmp_path)] == [None, 0, 1, 2]
    assert "hint: 4 would be better" in render(engine.requests[2].prompt)


def test_a_killed_run_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    whole, whole_engine, _ = run(tmp_path / "whole", 6)
    run(tmp_path / "cut", 2)
    with (tmp_path / "cut" / "programs.jsonl").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 20)  # killed in the middle of the last line
    rest, engine, verifier = run(tmp_path / "cut", 6)
    assert without_usage(rest) == without_usage(whole)
    assert rest.usage.generated_tokens == whole.usage.generated_tokens
    assert len(engine.requests) == len(whole_engine.requests) - 2
    # 3 stood in the line that was cut; 5 fails, and what follows are copies of it.
    assert verifier.codes == [FIRST.replace("1", value) for value in "345"]
    assert lines_of(tmp_path / "cut") == lines_of(tmp_path / "whole")


def test_a_budget_holds_over_sessions(tmp_path: Path) -> None:
    per_answer = len("<<<<<<< SEARCH\n    return 1\n=======\n    return 2\n>>>>>>> REPLACE")
    budget = str(2 * per_answer + 20)
    found, _, _ = run(tmp_path, 9, budget=budget)
    assert found.ended and found.scored == 2
    again, engine, _ = run(tmp_path, 9, budget=budget)
    assert without_usage(again) == without_usage(found) and not engine.requests
    assert (found.usage.generated_tokens or 0) <= int(budget)


def test_an_answer_that_is_lost_is_asked_for_again(tmp_path: Path) -> None:
    config = HILL.model_copy(update={"islands": 2})
    found, _, _ = run(tmp_path, 4, config=config, lost={1})
    assert found.rejected == {"it is a copy": 1, "no answer: busy": 1}
    assert [line["number"] for line in lines_of(tmp_path)] == [0, 1, 3, 4]
    again, engine, _ = run(tmp_path, 4, config=config)
    assert again.rejected == {"it is a copy": 2} and len(engine.requests) == 1
    with pytest.raises(EngineError, match="the model gave no answer: busy"):
        run(tmp_path / "all", 4, config=config, lost={0, 1})


def test_what_has_no_score_is_kept_out_and_said(tmp_path: Path) -> None:
    config = HILL.model_copy(update={"islands": 2})
    found, _, _ = run(tmp_path, 4, config=config)
    # Both islands write 2, then both 3: the second of each round is a copy.
    assert found.rejected == {"it is a copy": 2}
    assert found.scored == 2
    five = run(tmp_path / "five", 3, measure=MEASURE.replace("== 5", "== 3"))[0]
    said = lines_of(tmp_path / "five")[2]["evaluated"]
    assert isinstance(said, dict) and "five is right out" in str(said["error"])
    assert (five.best.score, five.scored) == (2, 1)


def test_another_evolution_in_the_folder_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 1)
    with pytest.raises(InputError, match="another evaluator; choose another --out"):
        run(tmp_path, 1, measure=MEASURE + "\n")
    with pytest.raises(InputError, match="another archive"):
        run(tmp_path, 1, config=HILL.model_copy(update={"archive": 2}))


def test_a_program_without_a_score_is_no_beginning(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no score: .*\s.*defines no 'f'"):
        run(tmp_path, 1, first="g = 1\n")


def test_one_process_works_in_a_folder(tmp_path: Path) -> None:

    lock_folder(tmp_path)
    with pytest.raises(StoreError, match="works there"):
        run(tmp_path, 1)
