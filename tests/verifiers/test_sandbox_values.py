"""What an honest test may do with code that runs in another process."""

import asyncio
import json
import math
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.support.sandboxes import open_sandbox
from tts.verifiers._sandbox.inside.values import Decoder, Encoder, Peer
from tts.verifiers._sandbox.sandbox import Assertions, Limits, Outcome

LIMITS = Limits(seconds=10.0)
VALUES: list[Any] = [
    *(None, True, 0, -(2**70), 0.1, -0.0, math.inf, 1 + 2j, "", "é\ud800\n", b"\x00\xff"),
    *([], [1, "a", [None]], (), (1, (2,)), {}, {1: "a", (1, 2): {"b": [3]}}, set(), {1, "a"}),
    *(frozenset({1, (2, 3)}), bytearray(b"x"), range(1, 9, 3), slice(1, None, 2), ..., int, dict),
    *(Fraction(1, 3), Decimal("1.10"), date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5, 6)),
    *(time(1, 2, 3), timedelta(1, 2, 3), deque([1, 2], maxlen=3), Counter("aab")),
    *(OrderedDict([(2, 1), (1, 2)]), defaultdict(list, {1: [2]}), {1: 2}.keys(), {1: 2}.items()),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_built_in_value_crosses_as_it_is(value: Any) -> None:
    sent = Encoder(Peer()).encode(value)
    read = Decoder(Peer()).decode(json.loads(json.dumps(sent)))
    assert type(read) is type(value)
    assert repr(read) == repr(value)


def test_the_order_of_an_ordered_dict_is_its_own() -> None:
    value = OrderedDict([(1, 2), (3, 4)])
    value.move_to_end(1)
    assert list(Decoder(Peer()).decode(Encoder(Peer()).encode(value))) == [3, 1]


def test_what_was_one_object_stays_one() -> None:
    row = [0]
    rows: list[Any] = [row, row]
    rows.append(rows)
    read = Decoder(Peer()).decode(Encoder(Peer()).encode(rows))
    assert read[0] is read[1] and read[2] is read


@pytest.mark.parametrize(
    "message",
    [
        ["?", 1],
        ["=", 3],
        ["l", "x", 1],
        ["d", 0, 1],
        ["v", "os.system", "true"],
        ["v", "builtins.eval", "1"],
        ["T", "type"],
        ["T", "object"],
        ["b", 3],
        [["l", 0]],
        ["p", ["l", 0], ["o", 1]],
        ["s", 0, ["l", 1]],
    ],
)
def test_what_is_no_value_is_refused(message: list[Any]) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, NotImplementedError)):
        Decoder(Peer()).decode(message)


def run(code: str, *tests: str) -> list[Outcome]:
    return asyncio.run(open_sandbox(LIMITS).run(code, [Assertions(test) for test in tests]))


CODE = """
import collections, enum, math, re
from dataclasses import dataclass, field
from typing import List, NamedTuple

limit = 3
seen = []
Pair = collections.namedtuple("Pair", "a b")

class Colour(enum.Enum):
    RED = 1

class Level(enum.IntEnum):
    LOW = 1

class Empty(Exception):
    def __init__(self, what):
        super().__init__(what)
        self.what = what

@dataclass(order=True)
class Point:
    x: int
    y: int = 0
    tags: list = field(default_factory=list)

    def __add__(self, other):
        return Point(self.x + other.x, self.y + other.y)

class Stack:
    def __init__(self, items=()):
        self.items = list(items)
        self.name = "stack"
    def push(self, item):
        self.items.append(item)
        return self
    def pop(self):
        if not self.items:
            raise Empty("stack")
        return self.items.pop()
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __getitem__(self, n): return self.items[n]
    def __setitem__(self, n, value): self.items[n] = value
    def __enter__(self): return self
    def __exit__(self, *_): self.items.clear()
    @property
    def top(self): return self.items[-1]

class Tall(Stack):
    pass

class Words(list):
    def longest(self): return max(self, key=len)

def square(x): return x * x
def pair(a, b): return Pair(a, b)
def sort(items): items.sort(); return items
def drop(items, key):
    del items[key]
def nested(rows):
    rows[0].append(9)
def evens():
    n = 0
    while True:
        yield n
        n += 2
def mapped(f, items): return [f(x) for x in items]
def catches(f):
    try:
        f()
    except KeyError as error:
        return error.args[0]
def consumes(items): return sum(1 for _ in items)
def fail(): raise ValueError("no", 3)
def unpack(*a, k=0, **n): return a, k, n
def note(x): seen.append(x); return len(seen)
def say(x): print("said", x)
def low(): return Level.LOW
def find(text): return re.search("b+", text)
def zeros(n): return [[0] * n] * n
def words(): return Words(["a", "bcd"])
def same(x): return x
def add_to(x, items=[]): items.append(x); return items
def total(items: List[int]) -> int: return sum(items)
def compose(f, g): return lambda x: f(g(x))
"""
HOLDS = [
    "assert square(3) == 9 and square(2.5) == 6.25 and square(10**5000) == 10**10000",
    "assert pair(1, 2) == (1, 2) and pair(1, b=2).b == 2 and isinstance(pair(1, 2), tuple)",
    "a, b = pair(1, 2)\nassert a + b == 3",
    "import copy\nassert copy.deepcopy(pair(1, [2])) == (1, [2])",
    # arguments are changed in place, also deep within, and what comes back may be one of them
    "x = [3, 1, 2]\ny = sort(x)\nassert x == [1, 2, 3] and y is x",
    "d = {1: 2, 3: 4}\ndrop(d, 1)\nassert d == {3: 4}",
    "rows = [[1], [2]]\nfirst = rows[0]\nnested(rows)\nassert first == [1, 9] and rows[0] is first",
    "x = [1]\nassert same(x) is x and same((x, x))[1] is x",
    "m = zeros(2)\nm[0][0] = 1\nassert m == [[1, 0], [1, 0]]",
    "add_to(1)\nassert add_to(2) == [1, 2]",
    # names of the code: values as they are now, classes, modules, exceptions
    "assert limit == 3 and seen == []\nnote(5)\nassert seen == [5]",
    "assert math.sqrt(square(3)) == 3.0",
    "assert Colour.RED == Colour.RED and Colour(1) is Colour.RED and Colour.RED.value == 1",
    "assert low() == 1 and low().name == 'LOW' and low() == Level.LOW and low() + 1 == 2",
    "assert Point(1, 2) + Point(3, 4) == Point(4, 6) and Point(1) != Point(2) > Point(1)",
    "assert Point(1, tags=[2]).tags == [2] and isinstance(Point(1), Point)",
    "assert str(Point(1)) == 'Point(x=1, y=0, tags=[])' == repr(Point(1))",
    "s = Stack([1])\ns.push(2).push(3)\nassert len(s) == 3 and s.pop() == 3 and s.top == 2",
    "s = Stack([1, 2])\nassert list(s) == [1, 2] and s[1] == 2 and 2 in s and 3 not in s and s",
    "s = Stack([1])\ns[0], s.name = 5, 'n'\nassert s.items == [5] and s.name == 'n' and s != [5]",
    "with Stack([1]) as s:\n    assert s[0] == 1\nassert len(s) == 0",
    "assert isinstance(Tall(), Stack) and not isinstance(3, Stack) and issubclass(Tall, Stack)",
    "assert {Colour.RED: 1}[Colour.RED] == 1 and len({Colour.RED, Colour(1)}) == 1",
    "w = words()\nassert w == ['a', 'bcd'] and w.longest() == 'bcd' and sorted(w) == ['a', 'bcd']",
    "assert find('abba').group() == 'bb' and find('x') is None and find('ab').span() == (1, 2)",
    # functions and iterators cross both ways
    "assert mapped(lambda x: x + 1, (1, 2)) == [2, 3] and mapped(str.upper, 'ab') == ['A', 'B']",
    "assert consumes(x for x in range(4)) == 4 and consumes(iter([1])) == 1",
    "it = evens()\nassert [next(it), next(it)] == [0, 2]",
    "for n, even in zip(range(3), evens()):\n    assert even == 2 * n",
    "assert compose(square, lambda x: x + 1)(2) == 9 and compose(abs, square)(-2) == 4",
    "def boom():\n    raise KeyError('k')\nassert catches(boom) == 'k'",
    "assert unpack(1, 2, k=3, z=4) == ((1, 2), 3, {'z': 4})",
    "assert total([1, 2]) == 3 and total.__name__ == 'total'",
    # exceptions
    "try:\n    fail()\n    assert False\nexcept ValueError as e:\n    assert e.args == ('no', 3)",
    "try:\n    Stack().pop()\n    assert False\nexcept Empty as e:\n    assert e.what == 'stack'",
    "import unittest\nt = unittest.TestCase()\nwith t.assertRaises(Empty):\n    Stack().pop()\n"
    "with t.assertRaisesRegex(ValueError, 'no'):\n    fail()\nt.assertEqual(square(2), 4)",
    # what is printed
    "import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n"
    "    say(3)\nassert out.getvalue() == 'said 3\\n'",
    # a name of the test's own comes first, as it does after an assignment
    "def square(x):\n    return 1\nassert square(3) == 1",
    "import sys\nassert sys.getsizeof(()) > 0 and __name__ == '__main__'\nsys.exit(0)",
]
FAILS = [
    ("assert square(3) == 8", "line 1: assert square(3) == 8\nAssertionError"),
    ("assert missing(3) == 8", "NameError: name 'missing' is not defined"),
    ("x = 1\nfail()", "line 2: fail()\nValueError: ('no', 3)\n  File \"main.py\", line"),
    ("assert square(", "SyntaxError"),
    ("class Own: pass\nsame(Own())", "the test hands a Own to the code"),
    ("import sys\nsys.exit('bad')", "it exited with bad"),
    ("assert Point(1) + 3 == 4", "unsupported operand type(s) for +"),
]


def test_an_honest_test_runs_as_if_it_stood_beside_the_code() -> None:
    outcomes = run(CODE, *HOLDS)
    failed = [(t, o.error) for t, o in zip(HOLDS, outcomes, strict=True) if o.exit_code != 0]
    assert failed == []


def test_honest_tests_hold_in_one_process_too() -> None:
    for test in HOLDS:
        module: dict[str, Any] = {"__name__": "__main__"}
        try:
            exec(CODE, module)
            exec(test, module)
        except SystemExit as error:
            assert not error.code


def test_a_test_that_fails_says_where() -> None:
    outcomes = run(CODE, *(test for test, _ in FAILS))
    for (_, message), outcome in zip(FAILS, outcomes, strict=True):
        assert outcome.exit_code == 1
        assert message in outcome.error


def test_a_function_may_have_the_name_of_a_built_in_one() -> None:
    code = "def sum(a, b):\n    return a * b\ndef abs(x):\n    return 0"
    first, second, third = run(
        code, "assert sum(2, 5) == 10", "assert set([sum(2, 5)]) == {10}", "assert abs(-1) == 1"
    )
    assert [first.exit_code, second.exit_code] == [0, 0]
    assert third.exit_code == 1  # it is what this test tests
