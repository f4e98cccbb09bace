"""Code in a sandbox: what it may do, and everything that it may not."""

import asyncio
from typing import Any

import pytest

from tests.support.solving import solve
from tts.engine.scripted import Line, ScriptedEngine
from tts.errors import VerifierError
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.types import Problem, Score
from tts.verifiers._sandbox import Limits, Outcome, Sandbox

LIMITS = Limits(seconds=10.0, memory_bytes=256 * 2**20, disk_bytes=4 * 2**20, processes=8)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    try:
        return Sandbox(LIMITS)
    except VerifierError as error:
        pytest.skip(str(error))


def run(sandbox: Sandbox, program: str, text: str = "") -> Outcome:
    return asyncio.run(sandbox.run(program, text=text))


def test_a_program_reads_prints_and_ends(sandbox: Sandbox) -> None:
    outcome = run(sandbox, "print(int(input()) ** 2)", "12\n")
    assert (outcome.exit_code, outcome.output) == (0, "144\n")
    assert run(sandbox, "raise SystemExit(3)").exit_code == 3
    assert run(sandbox, "1 / 0").exit_code == 1


def test_it_may_write_where_it_works_and_start_a_process(sandbox: Sandbox) -> None:
    program = "open('x', 'w').write('hi')\nimport subprocess\nsubprocess.run(['/bin/cat', 'x'])"
    assert run(sandbox, program).output == "hi"


@pytest.mark.parametrize(
    "program",
    [
        # opens sockets
        "import socket; socket.create_connection(('1.1.1.1', 80), timeout=3)",
        "import socket; socket.create_connection(('127.0.0.1', 22), timeout=3)",
        # fills the disk: one large file, many small ones, many empty ones
        "open('x', 'wb').write(bytes(8 * 2**20))",
        "for i in range(100): open(f'x{i}', 'wb').write(bytes(2**20))",
        "for i in range(5000): open(f'x{i}', 'wb').close()",
        # takes memory
        "x = bytearray(2**30)",
        # opens files
        "x = [open('/dev/null') for _ in range(1000)]",
        # reads and writes what is none of its business
        "open('/etc/passwd').read()",
        "open('/usr/x', 'w')",
        "import os; os.remove('/usr/bin/env')",
        "import os; os.setuid(0)",
        "import os; os.kill(1, 9); os.kill(-1, 9)",
    ],
)
def test_what_it_may_not_do_fails(sandbox: Sandbox, program: str) -> None:
    assert run(sandbox, program).exit_code != 0


def test_a_fork_bomb_runs_into_a_wall(sandbox: Sandbox) -> None:
    bomb = "import os, time\nfor _ in range(50):\n    if os.fork() == 0: time.sleep(60)\n"
    outcome = run(sandbox, bomb)
    assert outcome.exit_code == 1  # BlockingIOError
    # What it had started is gone, or the next program could not fork either.
    again = run(sandbox, "import os\nif os.fork(): print('forked')")
    assert again.output == "forked\n"


def test_it_cannot_make_namespaces_or_mounts(sandbox: Sandbox) -> None:
    program = (
        "import ctypes\nc = ctypes.CDLL(None)\n"
        "print(c.unshare(0x10000000), c.mount(b't', b'/work', b'tmpfs', 0, None))"
    )
    assert run(sandbox, program).output == "-1 -1\n"


def test_its_environment_is_empty(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "password")
    assert "password" not in run(sandbox, "import os; print(dict(os.environ))").output


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import time; time.sleep(60)", "longer than 0.7 s"),
        ("while True: pass", "longer than 0.7 s"),
        ("while True: print('x' * 10_000)", "printed more than"),
        # The parent ends at once, the child holds on to its output.
        ("import os, time\nif os.fork() == 0: time.sleep(60)\nos.wait()", "longer than 0.7 s"),
    ],
)
def test_what_does_not_end_is_ended(program: str, message: str) -> None:
    limits = Limits(seconds=0.7, output_bytes=50_000)
    outcome = run(Sandbox(limits), program)
    assert outcome.exit_code is None
    assert message in outcome.error


def attempt(code: str, tests: Any) -> Score:
    """Return the score of one attempt."""
    problem = Problem("p", "Square it.", answer_type="code", metadata={"tests": tests})
    name = "execution(seconds=10, disk_mb=4)"
    engine = ScriptedEngine(lambda ask: Line(f"```python\n{code}\n```"))
    (scored,) = solve(engine, sample() >> score(verifier=name), problem=problem).trajectories
    return scored.scores[name]


def test_the_score_is_the_share_of_tests_passed() -> None:
    tests = ["assert f(2) == 4", "assert f(3) == 9", "assert f(3) == 8", "g()"]
    result = attempt("def f(x):\n    return x * x", tests)
    assert result.value == 0.5
    assert result.steps == (1.0, 1.0, 0.0, 0.0)


def test_programs_are_judged_by_what_they_print() -> None:
    tests = [{"input": "2\n", "output": "4"}, {"input": "3\n", "output": "10\n"}]
    assert attempt("print(int(input()) ** 2, ' ')", tests).steps == (1.0, 0.0)


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "raise SystemExit", "print('ok')\nx ="])
def test_leaving_early_passes_no_test(code: str) -> None:
    assert attempt(code, ["assert True"]).value == 0.0


@pytest.mark.parametrize(
    ("tests", "message"),
    [(None, "no list of tests"), ([], "no list of tests"), ([3], "a test is code")],
)
def test_problems_without_tests_are_an_error(tests: Any, message: str) -> None:
    assert message in str(attempt("x = 1", tests).error)


def test_an_attempt_without_code_is_an_error_and_the_rest_goes_on() -> None:
    problem = Problem("p", "?", answer_type="code", metadata={"tests": ["assert x == 1"]})
    texts = ["no code", "```python\nx = 1\n```"]
    engine = ScriptedEngine(lambda ask: Line(texts[ask.index]))
    pipeline = sample(n=2) >> score(verifier="execution") >> select(by="execution")
    result = solve(engine, pipeline, problem=problem)
    assert result.answer is not None and result.answer.text == "x = 1"
    assert "the trajectory has no code" in result.reason


def test_without_isolation_it_refuses_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tts.verifiers._sandbox.shutil.which", lambda name: None)
    with pytest.raises(VerifierError, match="--unsafe-execution"):
        Sandbox(LIMITS)
    unsafe = Sandbox(LIMITS, unsafe=True)
    assert unsafe.protection == "nothing but limits on resources"
    assert run(unsafe, "print(1)").output == "1\n"
    assert run(unsafe, "x = bytearray(2**30)").exit_code == 1
