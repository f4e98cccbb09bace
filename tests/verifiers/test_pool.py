"""Sandboxes that wait for code: they are kept, replaced and ended, and nothing stays in them."""

import ast
import asyncio
import os

import pytest

from tests.support.sandboxes import open_sandbox
from tests.verifiers.test_execution_tricks import EQUAL, LIMITS, SOLVED, TRICKS
from tests.verifiers.test_sandbox import processes_of
from tts.verifiers._sandbox.plain import is_plain
from tts.verifiers._sandbox.pool import Pool
from tts.verifiers._sandbox.sandbox import Assertions, Cell, Limits, Outcome, Program

OTHER = "assert f(2) == 4"
NUMBERED = [Assertions(f"assert f({x}) == {x * x}") for x in range(3)]


def passed(outcomes: list[Outcome]) -> list[bool]:
    return [outcome.exit_code == 0 for outcome in outcomes]


def sandboxes() -> set[int]:
    return set(processes_of(os.getpid()))


def test_a_sandbox_is_used_again_and_ended_with_the_pool() -> None:
    before = sandboxes()
    pool = Pool(open_sandbox(LIMITS), size=1)

    async def work(code: str) -> tuple[list[bool], set[int]]:
        return passed(await pool.run(code, NUMBERED)), sandboxes() - before

    right, first = asyncio.run(work(SOLVED))
    wrong, second = asyncio.run(work("def f(x): return x"))  # in an event loop of its own
    assert (right, wrong) == ([True] * 3, [True, True, False])
    assert first == second and first
    asyncio.run(pool.aclose())
    assert sandboxes() <= before


def test_code_that_never_ends_is_given_up_after_so_many_tests_in_a_row() -> None:
    pool = Pool(open_sandbox(Limits(seconds=0.5, cpu_seconds=5)), size=1)
    tests = [Assertions(f"assert f({x}) == {x}") for x in range(6)]

    async def work(code: str, give_up: int | None) -> list[str]:
        outcomes = await pool.run(code, tests, give_up=give_up)
        assert all(o.exit_code is None for o in outcomes if o.is_late or not o.is_run)
        return ["-" if not o.is_run else "t" if o.is_late else str(o.exit_code) for o in outcomes]

    async def main() -> list[list[str]]:
        never = "def f(x):\n    while True: pass"
        odd = "def f(x):\n    while x % 2: pass\n    return x"
        late = "def f(x):\n    while 1 < x < 4: pass\n    return x"
        found = [await work(never, 2), await work(odd, 2), await work(late, 2)]
        await pool.aclose()
        return found

    ends, every_other, from_two = asyncio.run(main())
    assert ends == ["t", "t", "-", "-", "-", "-"]
    assert every_other == ["0", "t", "0", "t", "0", "t"]  # never twice in a row
    assert from_two == ["0", "0", "t", "t", "-", "-"]


def test_equal_tests_are_run_once() -> None:
    pool = Pool(open_sandbox(Limits(seconds=0.5, cpu_seconds=5)), size=1)

    async def main() -> list[Outcome]:
        outcomes = await pool.run("while True: pass", [Program()] * 3, give_up=1)
        await pool.aclose()
        return outcomes

    assert [(o.is_run, o.is_late) for o in asyncio.run(main())] == [(True, True)] * 3


def test_source_is_read_again_where_python_errs_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [SystemError("AST constructor recursion depth mismatch (before=45, after=99)")] * 3
    parse = ast.parse

    def err(source: str) -> ast.Module:
        if errors:
            raise errors.pop()
        return parse(source)

    monkeypatch.setattr(ast, "parse", err)
    assert is_plain(OTHER) and not errors
    errors += [SystemError()] * 50
    assert not is_plain(OTHER)  # it then has processes of its own
    errors.clear()
    assert not is_plain("assert f(")


def test_what_waits_ends_with_its_pool() -> None:
    before = sandboxes()
    pool = Pool(open_sandbox(LIMITS), size=1)
    assert passed(asyncio.run(pool.run(SOLVED, NUMBERED[:1]))) == [True]
    assert sandboxes() > before
    del pool
    assert sandboxes() <= before


@pytest.mark.slow
def test_no_trick_passes_and_none_harms_whoever_comes_next() -> None:
    pool = Pool(open_sandbox(LIMITS), size=1)

    async def work() -> list[tuple[str, list[bool]]]:
        found = []
        for name, trick in TRICKS.items():
            tricked = passed(await pool.run(trick, [Assertions(EQUAL), Assertions(OTHER)]))
            found.append((name, tricked + passed(await pool.run(SOLVED, NUMBERED))))
        await pool.aclose()
        return found

    assert [pair for pair in asyncio.run(work()) if pair[1] != [False] * 2 + [True] * 3] == []


DEEP = (
    "import os\nfor _ in range(900):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)\n"
    "def f(x): return 0"
)


def test_a_folder_that_cannot_be_emptied_is_given_up() -> None:
    pool = Pool(open_sandbox(LIMITS), size=1)
    look = "import os\nprint(os.listdir())"

    async def work() -> tuple[list[Outcome], list[Outcome]]:
        left = await pool.run(DEEP, NUMBERED)
        seen = await pool.run(look, [Program()])
        await pool.aclose()
        return left, seen

    left, seen = asyncio.run(work())
    assert passed(left) == [True, False, False]  # f(0) is 0
    assert seen[0].output == "['main.py']\n"


def test_no_more_run_at_once_than_there_is_room_for() -> None:
    before = sandboxes()
    pool = Pool(open_sandbox(LIMITS), size=2)

    async def work() -> list[list[bool]]:
        codes = [f"def f(x): return x * {n}" for n in range(5)]
        runs = await asyncio.gather(*(pool.run(code, NUMBERED) for code in codes))
        return [passed(run) for run in runs]

    found = asyncio.run(work())  # x * n is x * x for x = 0 and x = n
    assert found == [[x in (0, n) for x in range(3)] for n in range(5)]
    assert 0 < len(pool._idle) <= 2
    asyncio.run(pool.aclose())
    assert sandboxes() <= before


@pytest.mark.parametrize(
    ("test", "plain"),
    [
        ("assert f(2) == 4", True),
        ("assert all(f(x) == x * x for x in range(3)), 'no'", True),
        ("assert sorted(f([3, 1]), reverse=True)[0] == -1 or not f(1)", True),
        ("assert abs(f(0.5) - 0.25) < 1e-6", True),
        ("import math\nassert math.isclose(f(2), 4)", False),
        ("assert f(2).bit_length() == 3", False),
        ("assert setattr(f, 'x', 1) is None", False),
        ("assert eval('f(2)') == 4", False),
        ("assert __import__('os')", False),
        ("assert (x := f(2)) == 4", False),
        ("def check(g):\n    assert g(2) == 4\ncheck(f)", False),
        ("assert f(2) ==", False),
    ],
)
def test_plain_tests_can_change_nothing_where_they_run(test: str, plain: bool) -> None:
    assert is_plain(test) is plain


@pytest.mark.parametrize(
    "middle",
    [
        "import os; os._exit(0)",
        "raise SystemExit",
        "return 7",
        "return [None] * 10**9",
        pytest.param("while True: pass", marks=pytest.mark.slow),
    ],
)
def test_one_bad_test_of_many_that_share_processes_fails_alone(middle: str) -> None:
    limits = Limits(seconds=2.0, memory_bytes=256 * 2**20)
    pool = Pool(open_sandbox(limits), size=1)
    code = f"def f(x):\n    if x == 1:\n        {middle}\n    return x * x"

    async def work() -> list[Outcome]:
        outcomes = await pool.run(code, [*NUMBERED, Assertions("import math\nassert f(3) == 9")])
        await pool.aclose()
        return outcomes

    outcomes = asyncio.run(work())
    assert passed(outcomes) == [True, False, True, True]
    assert outcomes[1].error and not outcomes[0].error
    assert all(outcome.seconds > 0 and outcome.memory_bytes > 2**20 for outcome in outcomes)


def test_plain_tests_of_one_attempt_are_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    alone: list[str] = []
    run = Cell.run

    async def count(cell: Cell, test: Assertions | Program) -> Outcome:
        alone.append(str(test))
        return await run(cell, test)

    monkeypatch.setattr(Cell, "run", count)
    pool = Pool(open_sandbox(LIMITS), size=1)

    async def work() -> list[bool]:
        found = passed(await pool.run(SOLVED, NUMBERED))
        await pool.aclose()
        return found

    assert asyncio.run(work()) == [True] * 3
    assert alone == []
