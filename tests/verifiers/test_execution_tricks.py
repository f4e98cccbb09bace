"""Code that tries to pass a test without solving it, and what an honest test may do with code.

Every trick is met by tests whose right answers are the squares, none of which it computes.
"""

import asyncio

import pytest

from tests.support.sandboxes import open_sandbox
from tts.verifiers._sandbox.sandbox import Assertions, Limits, Outcome

LIMITS = Limits(seconds=10.0, memory_bytes=256 * 2**20, processes=8)
EQUAL = "assert f(3) == 9"
CLOSE = "import math\nassert abs(f(3) - 9) < 1e-6 and math.isclose(f(2), 4)"
CHECK = (
    "def check(candidate):\n    assert candidate(3) == 9\n    assert candidate(4) == 16\ncheck(f)"
)
MANY = "assert all(map(lambda x: f(x) == x * x, [1, 2, 3]))"
LISTED = "assert 9 in f(3) and f(3) != 8 and len([f(3)]) == 1"
CALLED = "given = []\nassert f(lambda x: given.append(x) or x * x) == 9"
TESTS = {
    "equal": EQUAL,
    "close": CLOSE,
    "check": CHECK,
    "many": MANY,
    "set": "assert {f(3)} == {9} and set([f(2)]) == set([4])",
    "unittest": (
        "import unittest\nclass T(unittest.TestCase):\n"
        "    def test(self):\n        self.assertEqual(f(3), 9)\nunittest.main()"
    ),
    "caught": "try:\n    ok = f(3) == 9\nexcept Exception:\n    ok = False\nassert ok",
}
SOLVED = "def f(x):\n    return x * x"
ALWAYS = (
    "class Always{base}:\n"
    "    def __eq__(self, other): return True\n"
    "    def __ne__(self, other): return False\n"
    "    def __hash__(self): return hash(9)\n"
    "    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = lambda self, other: True\n"
    "    __sub__ = __rsub__ = __add__ = __radd__ = __abs__ = __neg__ = lambda self, *_: self\n"
    "{body}"
    "def f(x): return Always({argument})\n"
)


def always(base: str = "", argument: str = "", body: str = "") -> str:
    return ALWAYS.format(base=base, argument=argument, body=body)


TRICKS = {
    # results that are equal to everything
    "an object that equals all": always(),
    "an int that equals all": always("(int)", "0"),
    "a float that equals all": always("(float)", "0"),
    "a str that equals all": always("(str)", "''"),
    "a tuple that equals all": always("(tuple)", "()"),
    "a list that equals all": always("(list)", "[]"),
    "a dict that equals all": always("(dict)", "{}"),
    "a Fraction that equals all": "from fractions import Fraction\n" + always("(Fraction)", "0"),
    "a number whose difference is nothing": always(
        body="    __float__ = lambda self: 9.0\n    __index__ = lambda self: 0\n"
    ),
    "an object that says it is an int": always(body="    __class__ = property(lambda self: int)\n"),
    "a class in place of the function": always().replace("def f(x): return Always()", "f = Always")
    + "Always.__init__ = lambda self, x: None\n",
    "ANY of unittest.mock": "from unittest.mock import ANY\ndef f(x): return ANY",
    "a mock in place of the function": "from unittest.mock import MagicMock\nf = MagicMock()",
    "NotImplemented": "def f(x): return NotImplemented",
    "a class that is taken for one of the library": always("", "").replace(
        "class Always:",
        "class Always:\n    __module__, __qualname__ = 'fractions', 'Fraction'\n"
        "    numerator = denominator = 1",
    ),
    # the end comes before the tests
    "sys.exit at once": "import sys\nsys.exit(0)",
    "os._exit at once": "import os\nos._exit(0)",
    "sys.exit in the function": "import sys\ndef f(x): sys.exit(0)",
    "os._exit in the function": "import os\ndef f(x): os._exit(0)",
    "an excepthook": "import os, sys\nsys.excepthook = lambda *_: os._exit(0)\ndef f(x): return 0",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0",
    "a thread that ends all": (
        "import os, threading\nthreading.Timer(0.01, os._exit, [0]).start()\n"
        "def f(x):\n    import time; time.sleep(1)"
    ),
    "exec with -O": (
        "import os, sys\n"
        "if not sys.flags.optimize: os.execv(sys.executable, ['python', '-O', 'main.py'])"
    ),
    "exec in the function": "import os\ndef f(x): os.execv('/bin/true', ['true'])",
    "a fork whose parent ends well": "import os\nif os.fork(): os._exit(0)\ndef f(x): return 0",
    # exceptions that mean something to loops and frameworks
    "StopIteration": "def f(x): raise StopIteration",
    "GeneratorExit": "def f(x): raise GeneratorExit",
    "KeyboardInterrupt": "def f(x): raise KeyboardInterrupt",
    "SkipTest": "import unittest\ndef f(x): raise unittest.SkipTest('no')",
    "an exception that equals all": (
        "class E(Exception):\n    __eq__ = lambda *_: True\ndef f(x): raise E"
    ),
    # names and modules that a test uses
    "abs is always 0": "abs = lambda x: 0\ndef f(x): return 0",
    "set, all and len are replaced": (
        "set = frozenset = list\nall = len = sum = any = lambda *_: True\ndef f(x): return 0"
    ),
    "built-in functions are patched": (
        "import builtins\nfor n in ('abs', 'all', 'len', 'set', 'map', 'isinstance', 'compile'):\n"
        "    setattr(builtins, n, lambda *_, **__: 1)\ndef f(x): return 0"
    ),
    "AssertionError is patched": (
        "import builtins\nclass A(Exception):\n    def __new__(*_): import os; os._exit(0)\n"
        "builtins.AssertionError = A\ndef f(x): return 0"
    ),
    "math is patched": (
        "import math, sys, types\nmath.isclose = lambda *_: True\nm = types.ModuleType('math')\n"
        "m.isclose = lambda *_: True\nsys.modules['math'] = m\n"
        "abs = type('A', (), {'__lt__': lambda *_: True})\ndef f(x): return 0"
    ),
    "unittest is patched": (
        "import unittest\nunittest.TestCase.assertEqual = lambda *_: None\n"
        "unittest.main = lambda *_: None\ndef f(x): return 0"
    ),
    "the harness is patched": (
        "import sys\nfor name, m in list(sys.modules.items()):\n"
        "    if '.inside' in name:\n"
        "        for n in ('run_test', '_report', 'main'): setattr(m, n, lambda *_: '')\n"
        "def f(x): return 0"
    ),
    # looking for the tests, or for their answers
    "reading every file": (
        "import os, re\ndef f(x):\n"
        "    texts = []\n"
        "    for top, _, names in os.walk(os.getcwd()):\n"
        "        for n in names: texts.append(open(os.path.join(top, n)).read())\n"
        "    return int(re.search(r'f\\(%s\\) == (\\d+)' % x, ''.join(texts)).group(1))"
    ),
    "reading standard input": (
        "import re, sys\ntext = sys.stdin.read()\n"
        "def f(x): return int(re.search(r'f\\(%s\\) == (\\d+)' % x, text).group(1))"
    ),
    "looking through frames": (
        "import re, sys\ndef f(x):\n    frame, text = sys._getframe(), ''\n    while frame:\n"
        "        text += repr((frame.f_locals, frame.f_globals))\n        frame = frame.f_back\n"
        "    return int(re.search(r'f\\(%s\\) == (\\d+)' % x, text).group(1))"
    ),
    "looking through all objects": (
        "import gc\ndef f(x):\n    for o in gc.get_objects():\n"
        "        if isinstance(o, dict):\n            for v in list(o.values()):\n"
        "                if isinstance(v, str) and 'assert f(' in v[:40]: return 9 if x == 3 else 4"
    ),
    "reading the memory of others": (
        "import os, re\ndef f(x):\n    for pid in range(1, 400):\n        try:\n"
        "            for line in open(f'/proc/{pid}/maps'):\n"
        "                a, b = (int(n, 16) for n in line.split()[0].split('-'))\n"
        "                with open(f'/proc/{pid}/mem', 'rb') as m:\n"
        "                    m.seek(a)\n                    t = m.read(b - a)\n"
        "                if b'== 9' in t and pid != os.getpid(): return 9\n"
        "        except OSError: pass\n"
    ),
    "tracing others": (
        "import ctypes, os\nc = ctypes.CDLL(None)\n"
        "done = [p for p in range(1, 100) if c.ptrace(16, p, 0, 0) == 0]\n"
        "def f(x): return 9 if done else 0"
    ),
    # forging the verdict
    "a verdict on every file": (
        "import os\ndef f(x):\n    for n in range(64):\n"
        "        try: os.write(n, b'\\x01P')\n        except OSError: pass\n    os._exit(0)"
    ),
    "a verdict on standard output": "print('P', flush=True)\nprint('\\x01P')\ndef f(x): return 0",
    "killing whoever judges": "import os\ndef f(x):\n    os.kill(-1, 9)\n    return 0",
    "killing by number": (
        "import os\ndef f(x):\n    for p in range(2, 50):\n        try: os.kill(p, 15)\n"
        "        except OSError: pass\n    return 0"
    ),
    # what is sent
    "a pickle with code": (
        "class P:\n    def __reduce__(self): return (eval, (\"__import__('os')._exit(0)\",))\n"
        "def f(x): return P()"
    ),
    "a message of its own making": (
        'import os\ndef f(x):\n    os.write(4, b\'["ok",["t",["o",99999]],""]\\n\')\n'
        '    os.write(4, b\'["do","exit",["t"]]\\n\' * 3)\n    return 0'
    ),
    "a message that asks the test": (
        "import os\ndef f(x):\n"
        '    os.write(4, b\'["do","call",["t",["T","int"],["l",0],["d",1]]]\\n\')\n'
        "    return 0"
    ),
    "values that are nested without end": (
        "def f(x):\n    value = []\n    for _ in range(100_000): value = [value]\n    return value"
    ),
    "a list within itself": "def f(x):\n    value = []\n    value.append(value)\n    return value",
    "a sequence without end": "import itertools\ndef f(x): return itertools.repeat(9)",
}


def run(code: str, *tests: str) -> list[Outcome]:
    return asyncio.run(open_sandbox(LIMITS).run(code, [Assertions(test) for test in tests]))


def test_the_tests_can_be_passed() -> None:
    assert [outcome.error for outcome in run(SOLVED, *TESTS.values())] == [""] * len(TESTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_passes_no_test(name: str) -> None:
    outcomes = run(TRICKS[name], *TESTS.values())
    assert [test for test, o in zip(TESTS, outcomes, strict=True) if o.exit_code == 0] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "test"),
    [
        (always(), "assert 9 in f(3)"),
        (always(), "assert f(3) in [9]"),
        (always(), "assert f(3) - 9 == 0"),
        (always(), "assert isinstance(f(3), int)"),
        (always("(int)", "0"), "assert not f(3) != 9"),
        (always("(list)", "[]"), "assert f(3) == [9]"),
        (always("(dict)", "{}"), "assert f(3) == {9: 9}"),
        (always("(str)", "''"), "assert f(3).upper() == 'NINE'"),
        ("def f(g): return g.__globals__['given'] or 9", CALLED),
        ("def f(g):\n    g.__code__ = (lambda x: 9).__code__\n    return 9", CALLED + "\n1 / 0"),
        ("def f(x):\n    x.append(0)\n    return 0", "x = [3]\nassert f(tuple(x)) == 0"),
        (
            "math = type('M', (), {'isclose': lambda *_: True})()\n" + always(),
            "assert math.isclose(f(3), 9)",
        ),
        (
            always(body="    __enter__ = lambda s: s\n    __exit__ = lambda *_: True\n"),
            "with f(3) as x:\n    assert x == 9",
        ),
        ("def f(x): return 'x' * (100 * 2**20)", EQUAL),
        ("import os\ndef f(x): os._exit(0)", "try:\n    f(3)\nexcept BaseException:\n    pass"),
    ],
)
def test_neither_does_one_of_these(code: str, test: str) -> None:
    assert run(code, test)[0].exit_code == 1
