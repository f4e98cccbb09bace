"""The checker and its processes: time limits, crashes, closing, several at a time."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.towers import ENDLESS, TOWERS
from tts.answers.groups import AnswerChecker, Patience


def children() -> set[int]:
    """Return the processes that this one has started and that still run."""
    own = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    threads = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(pid) for pid in own.split()} | {
        int(pid) for path in threads for pid in path.read_text().split()
    }


def test_cheap_decisions_start_no_process() -> None:
    with AnswerChecker() as checker:
        assert checker.are_equal("1,000", "1000.0", "math")
        assert not checker.are_equal("41", "42", "integer")
        assert checker.stats.compared == 0


@pytest.mark.slow
def test_a_time_out_is_not_equal_counted_and_survived() -> None:
    with AnswerChecker(timeout_seconds=0.5) as checker:
        assert checker.are_equal("x+1", "1+x", "math")
        start = time.monotonic()
        assert not checker.are_equal(*ENDLESS, "math")
        assert time.monotonic() - start < 5.0  # four times the limit, and room for the clean-up
        assert (checker.stats.timeouts, checker.stats.crashes) == (1, 0)
        assert checker.gave_up(*ENDLESS, "math")
        assert not checker.gave_up("x+1", "1+x", "math")
        assert checker.are_equal("x+2", "2+x", "math")  # in a new process
        assert not checker.are_equal(*ENDLESS, "math")  # remembered
        assert checker.stats.compared == 3


@pytest.mark.slow
def test_the_slow_answer_is_known_and_its_partner_is_not_blamed() -> None:
    slow, quick = ENDLESS[0], "2+x"
    with AnswerChecker(timeout_seconds=0.5) as checker:
        assert not checker.are_equal(quick, slow, "math")
        assert checker.stats.timeouts == 1
        assert not checker.are_equal("y+3", slow, "math")  # by form only, at once
        assert checker.are_equal(slow, f"\\boxed{{{slow}}}", "math")
        assert checker.gave_up("y+3", slow, "math")
        assert checker.are_equal(quick, "x+2", "math")  # the other one is still compared
        assert (checker.stats.timeouts, checker.stats.compared) == (1, 2)


@pytest.mark.slow
def test_without_patience_answers_are_compared_by_form_only() -> None:
    with AnswerChecker(timeout_seconds=0.3) as checker:
        patience = Patience(0.5)
        equal = [checker.are_equal("x+1", tower, "math", patience=patience) for tower in TOWERS]
        assert not any(equal)
        assert checker.stats.timeouts == 2  # 0.5 - 0.3 - 0.3 is below zero
        assert checker.gave_up("x+1", TOWERS[-1], "math")
        assert checker.are_equal("x+1", "x + 1", "math", patience=patience)  # the same form
        assert not checker.are_equal("2(x+1)", "2x+2", "math", patience=patience)
        assert checker.are_equal("2(x+3)", "2x+6", "math", patience=Patience())  # another problem


@pytest.mark.slow
def test_a_slow_answer_does_not_hold_up_the_others() -> None:
    with (
        AnswerChecker(timeout_seconds=30.0, max_workers=2) as checker,
        ThreadPoolExecutor(1) as pool,
    ):
        assert checker.are_equal("x+1", "1+x", "math")
        busy = pool.submit(checker.are_equal, *ENDLESS, "math")
        while checker.stats.compared < 2:
            time.sleep(0.01)
        assert checker.are_equal("x+2", "2+x", "math")  # in the second process
        assert not busy.done()
        checker.close()
        assert busy.result(timeout=10) is False
    assert checker.stats.crashes == 0


def test_a_killed_worker_is_replaced_and_the_pair_tried_again() -> None:
    with AnswerChecker() as checker:
        before = children()
        assert checker.are_equal("x+1", "1+x", "math")
        (worker,) = children() - before
        os.kill(worker, signal.SIGKILL)
        assert checker.are_equal("x+2", "2+x", "math")
        assert checker.stats.crashes == 1


def test_close_ends_the_process() -> None:
    before = children()
    checker = AnswerChecker()
    assert checker.are_equal("x+1", "1+x", "math")
    assert len(children() - before) == 1
    checker.close()
    assert children() - before == set()
    assert not checker.are_equal("x+2", "2+x", "math")


def test_a_worker_that_cannot_start_leaves_canonical_forms(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "math_verify.py").write_text("raise SystemExit")  # hides the real one
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with AnswerChecker() as checker:
        assert not checker.are_equal("x+1", "1+x", "math")
        assert not checker.are_equal("x+2", "2+x", "math")
        assert not checker.are_equal("x+3", "3+x", "math")
        assert checker.stats.crashes == 3  # and no further try
        assert checker.are_equal("1/2", "0.5", "math")  # needs no process
        assert checker.are_equal("\\frac12", "\\dfrac{1}{2}", "math")


def test_the_loop_runs_during_a_comparison() -> None:
    async def run() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.02)
                ticks += 1

        with AnswerChecker(timeout_seconds=0.5) as checker:
            ticker = asyncio.create_task(tick())
            assert not await checker.aequal(*ENDLESS, "math")
            ticker.cancel()
        assert ticks > 10

    asyncio.run(run())


def test_importing_answers_loads_no_algebra() -> None:
    heavy = "{'sympy', 'math_verify', 'torch'}"
    code = f"import sys, tts.answers.groups; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from tts.answers.groups import AnswerChecker\n"
        "print('start')\n"
        "print(AnswerChecker().are_equal('x+1', '1+x', 'math'))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["start", "True"]
    assert done.stderr == ""
