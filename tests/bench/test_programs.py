"""The benchmark of running programs: its words, and a small round of it."""

import asyncio

import pytest

from tests.support.sandboxes import open_sandbox
from tts.bench import programs
from tts.bench.programs import Side, describe, measure
from tts.errors import TTSError
from tts.verifiers._sandbox.sandbox import Assertions, Limits, Outcome


def test_all_sides_are_compared_with_the_last() -> None:
    sides = {
        "plain tests": [Side(0.01, 0.02), Side(0.02, 0.02)],
        "tests with processes of their own": [Side(0.05, 0.1), Side(0.05, 0.1)],
        programs._STARTED: [Side(0.1, 0.2), Side(0.1, 0.1)],
    }
    assert list(describe(sides)) == [
        "plain tests: 15.0 ms of wall time an attempt, 20.0 ms of CPU; 7.5 and 7.5 times less",
        "tests with processes of their own: 50.0 ms of wall time an attempt, 100.0 ms of CPU; "
        "2.0 and 1.5 times less",
        "a Python started for each test, not shut in: 100.0 ms of wall time an attempt, "
        "150.0 ms of CPU",
    ]


def test_a_round_judges_right_and_wrong_attempts_on_every_side() -> None:
    open_sandbox(Limits())  # skips where there is none
    sides = asyncio.run(measure(attempts=4, started=2, tests=3, rounds=1))
    assert [len(found) for found in sides.values()] == [1, 1, 1]
    assert all(s.wall_seconds > 0 < s.cpu_seconds for found in sides.values() for s in found)


def test_a_side_that_misjudges_is_no_measurement() -> None:
    async def all_pass(code: str, tests: object) -> list[Outcome]:
        return [Outcome(0)]

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(programs._time(all_pass, [Assertions("assert f(1) == 1")], 2, 1))
    assert raised.group_contains(TTSError, match="an attempt was misjudged")
