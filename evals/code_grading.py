"""Programs are graded by running them against tests that no attempt has seen."""

import asyncio
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from tts.types import Answer, Grade, Problem
from tts.verifiers.execution import Config, Execution, build

HIDDEN_TESTS = "hidden_tests"
_SECONDS = 15.0  # of a test; the originals take 3 s, without a second process that compares


class CodeGrader:
    """Grades programs in a sandbox, one for each core at a time: right is what passes every test.

    May be asked from several threads; a program is run once, however often it is asked for. The
    tests are the problem's `hidden_tests`, else its `tests`, which presets may run too.

    Args:
        unsafe: Run code without isolation where there is none.
    """

    def __init__(self, *, unsafe: bool = False) -> None:
        self._config = Config(seconds=_SECONDS, unsafe=unsafe)
        self._execution: Execution | None = None
        self._grades: dict[tuple[str, str], Future[Grade]] = {}
        # Keeps apart the threads that ask; what they ask for runs in a loop of its own.
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        """Refuse to work where nothing isolates the code that is run.

        Raises:
            VerifierError: Nothing does.
        """
        self._verifier()

    def grade(self, problem: Problem, answer: Answer | None) -> Grade:
        """Grade an answer of type "code"; blocks until its tests have run."""
        tests = problem.metadata.get(HIDDEN_TESTS) or problem.metadata.get("tests")
        if not isinstance(tests, Sequence) or isinstance(tests, str):
            return Grade(None, "the problem has no list of tests to run its code against")
        if answer is None:
            return Grade(False, "no answer")
        key = problem.id, answer.text
        with self._lock:
            if key not in self._grades:
                run = _grade(self._verifier(), problem, answer.text, tests)
                self._grades[key] = asyncio.run_coroutine_threadsafe(run, self._running_loop())
        return self._grades[key].result()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=[self._loop], name="programs", daemon=True).start()
            weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)
        return self._loop

    def _verifier(self) -> Execution:
        if self._execution is None:
            self._execution = build(self._config)
        return self._execution


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _grade(
    execution: Execution, problem: Problem, code: str, tests: Sequence[str | Mapping[str, Any]]
) -> Grade:
    score = await execution.run_tests(problem, code, tests)
    if score.value is None:
        return Grade(None, score.error or "")
    passed = sum(step == 1.0 for step in score.steps)
    return Grade(passed == len(tests), f"{passed} of {len(tests)} tests pass")
