"""eff@k by hand, and programs whose speed is known told apart on a real clock."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evals.test_report import record
from tests.support.commands import Outcome, write_sums
from tests.support.sandboxes import open_sandbox
from tts.cli.efficiency import _answers
from tts.evals.benchmarks._code_rows import code_row
from tts.evals.code_efficiency import answer_efficiency, eff_at_k, efficiencies, efficiency
from tts.types import Problem
from tts.verifiers._sandbox.sandbox import Limits
from tts.verifiers._timing import Stopwatch, Timing, hodges_lehmann
from tts.verifiers.execution import Config, build

Tts = Callable[..., Outcome]


def test_eff_at_k_is_the_expected_best_of_k() -> None:
    # Of 0, 0.4 and 1.0, in pairs: (0, 0.4), (0, 1), (0.4, 1): (0.4 + 1 + 1) / 3.
    assert eff_at_k([1.0, 0.0, 0.4], 1) == pytest.approx(1.4 / 3)
    assert eff_at_k([1.0, 0.0, 0.4], 2) == pytest.approx(0.8)
    assert eff_at_k([1.0, 0.0, 0.4], 3) == 1.0


def test_one_slow_run_does_not_move_a_time() -> None:
    # Means of pairs of 1, 2, 9: 1, 1.5, 5, 2, 5.5, 9; their median is (2 + 5) / 2.
    assert hodges_lehmann([1, 2, 9]) == 3.5
    assert hodges_lehmann([1, 1, 1, 1, 9]) == 1
    assert hodges_lehmann([4]) == 4


def test_of_a_record_the_answers_program_counts() -> None:
    known = replace(record("p", "arr"), answer="r")
    assert answer_efficiency(known, [0.0, 0.5, 0.5]) == 0.5
    assert answer_efficiency(replace(known, answer="a"), [0.0, 0.5, 0.5]) == 0.0
    assert answer_efficiency(replace(known, answer=None), [0.3, 0.5, 0.5]) == 0.0


def test_what_was_chosen_is_compared_with_a_right_one_at_random() -> None:
    # Of p the answer is the faster of two right ones; q's answer is wrong.
    fast = replace(record("p", "rr"), answer="r1")
    samples = (fast.samples[0], replace(fast.samples[1], answer="r1"))
    first, second = replace(fast, samples=samples), record("q", "aar")
    lines = list(_answers([(first, [0.4, 0.8]), (second, [0.0, 0.0, 0.6])]))
    assert lines[0].startswith("answer  0.400 [")
    assert lines[1].startswith("  where it is right, 1 problems: 0.800, a right sample at random ")
    assert lines[1].endswith("0.600: +0.200 [+0.200, +0.200]")


REFERENCES = [[0.001], [0.01, 0.02], [0.05, 0.04]]  # T = 2 * 0.05
HARDNESS = [0, 3, 5]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        # As the reference: every level 1.
        ([[0.001], [0.01, 0.02], [0.05, 0.04]], 1.0),
        # (0.1 - 0.06) / (0.1 - 0.02) = 0.5 and (0.1 - 0.09) / (0.1 - 0.05) = 0.2.
        ([[9.0], [0.06, 0.01], [0.09, 0.01]], (3 * 0.5 + 5 * 0.2) / 8),
        # The first level costs T or more, so all above have nothing.
        ([[0.001], [0.01, 0.1], [0.01, 0.01]], 0.0),
        # The last one reaches a limit.
        ([[0.001], [0.02, 0.02], [None]], 3 / 8),
        # Faster than the reference: (0.1 - 0.01) / (0.1 - 0.05) = 1.8.
        ([[0.001], [0.02, 0.02], [0.01, 0.01]], (3 + 5 * 1.8) / 8),
        ([[None]], 0.0),
    ],
)
def test_efficiency_by_level(seconds: list[list[float | None]], expected: float) -> None:
    times = [[Timing(value) for value in level] for level in seconds]
    assert efficiency(times, REFERENCES, HARDNESS) == pytest.approx(expected)


def test_a_wrong_result_anywhere_is_nothing() -> None:
    times = [[Timing(0.001)], [Timing(0.01)], [Timing(0.01), Timing(None, is_wrong=True)]]
    assert efficiency(times, REFERENCES, HARDNESS) == 0.0


ROW = {
    "task_id": "Sum/0",
    "prompt": 'def total(n):\n    """The sum of 1 to n."""\n',
    "entry_point": "total",
    "reference_solution": "    return sum(i for i in range(n + 1))\n",
    "input_generator": "def generate_input(size, lid, cid):\n    return size + cid,\n",
    "input_levels": "10 100000 300000 500000",
    "checker": "def __check(input, answer, output):\n    return answer == output\n",
}
FORMULA = "def total(n):\n    return n * (n + 1) // 2\n"
SLOW = "def total(n):\n    return sum(sum(1 for _ in range(4)) * i // 4 for i in range(n + 1))\n"
WRONG = "def total(n):\n    return n if n < 20 else n * n\n"


def enamel_row(**changes: str) -> dict[str, object]:
    made = dict(code_row({**ROW, **changes}, "row 1"))
    made["levels"] = [level[:1] for level in made["levels"]]
    return made


def test_rows_of_enamel_tell_fast_programs_from_slow_ones() -> None:
    open_sandbox(Limits())  # skips where there is none
    row = enamel_row()
    metadata = {key: row[key] for key in ("entry_point", "starter", "levels", "hardness")}
    problem = Problem("p", reference=str(row["answer"]), answer_type="code", metadata=metadata)

    async def main() -> list[float] | None:
        execution = build(Config(parallel=1))
        try:
            codes = [FORMULA, problem.reference, SLOW, WRONG, None]
            return await efficiencies(problem, codes, Stopwatch(execution, 3))
        finally:
            await execution.aclose()

    found = asyncio.run(main())
    assert found is not None
    formula, reference, slow, *nothing = found
    assert formula > 1.2 and 0.7 < reference < 1.3 and slow < 0.6
    assert nothing == [0.0, 0.0]


@pytest.mark.slow
def test_the_command_times_a_run_once(tts: Tts, tmp_path: Path) -> None:
    open_sandbox(Limits())
    # The scripted model answers such questions, and no program.
    row = enamel_row(prompt='def total(n):\n    """What is 1 plus 2?"""\n')
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    done = tts("eval", "file", "--data", "rows.jsonl", "--preset", "single")
    assert done.code == 0, done.err
    (run,) = (tmp_path / "runs").glob("file-single-*")
    first = tts("efficiency", str(run), "--tests", "1", "--repeats", "1")
    assert first.code == 0 and "eff@1   0.000" in first.out and "Sum/0" in first.err
    again = tts("efficiency", str(run), "--tests", "1", "--repeats", "1", "--limit", "1")
    assert again.out == first.out and "Sum/0" not in again.err
    sums = write_sums(tmp_path / "sums.jsonl", 1)
    assert tts("eval", "file", "--data", sums, "--preset", "single", "--out", "other").code == 0
    (run,) = (tmp_path / "other").glob("file-*")
    refused = tts("efficiency", str(run))
    assert refused.code == 2 and "has levels of tests" in refused.err
