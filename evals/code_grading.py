"""Programs are graded by running them against tests that no attempt has seen."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tts.types import Answer, Grade, Problem
from tts.verifiers.execution import Config, Execution, build

HIDDEN_TESTS = "hidden_tests"
_SECONDS = 15.0  # of a test; the originals take 3 s, without a second process that compares


class CodeGrader:
    """Grades programs in a sandbox: right is what passes every test.

    The tests are the problem's `hidden_tests`, else its `tests`, which presets may run too.

    Args:
        unsafe: Run code without isolation where there is none.
    """

    def __init__(self, *, unsafe: bool = False) -> None:
        self._config = Config(seconds=_SECONDS, parallel=1, unsafe=unsafe)
        self._execution: Execution | None = None
        self._grades: dict[tuple[str, str], Grade] = {}
        # Keeps threads of graders apart: a test's time is only fair where one runs at a time.
        self._turn = threading.Lock()

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
        with self._turn:
            key = problem.id, answer.text
            if key not in self._grades:
                self._grades[key] = self._run(problem, answer.text, tests)
            return self._grades[key]

    def _run(self, problem: Problem, code: str, tests: Sequence[str | Mapping[str, Any]]) -> Grade:
        score = asyncio.run(self._verifier().run_tests(problem, code, tests))
        if score.value is None:
            return Grade(None, score.error or "")
        passed = sum(step == 1.0 for step in score.steps)
        return Grade(passed == len(tests), f"{passed} of {len(tests)} tests pass")

    def _verifier(self) -> Execution:
        if self._execution is None:
            self._execution = build(self._config)
        return self._execution
