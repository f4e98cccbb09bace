"""From what a model wrote to the program that is run."""

import pytest

from tts.programs import called_function, to_program
from tts.types import Problem

STARTER = (
    'import math\n\ndef half(x):\n    return x / 2\n\ndef f(x: float) -> float:\n    """Doc."""\n'
)
HEAD = "import math\n\ndef half(x):\n    return x / 2\n\n"


def program(code: str, starter: str = STARTER, name: str = "f") -> str:
    metadata = {"starter": starter, "entry_point": name}
    return to_program(Problem("p", answer_type="code", metadata=metadata), code)


def test_a_whole_function_follows_what_stands_before_it_in_the_starter() -> None:
    code = "def f(x):\n    return half(x)"
    assert program(code) == HEAD + code


def test_a_body_continues_the_starter() -> None:
    assert program("    return half(x)") == STARTER + "    return half(x)"


@pytest.mark.parametrize("end", ["def g():", "class A:", "# Test", "if x:", "print(f(1))"])
def test_a_body_ends_where_the_original_stops(end: str) -> None:
    assert program(f"    return 1\n{end}\n    pass") == STARTER + "    return 1\n"


def test_calls_and_checks_below_a_function_are_left_out_and_helpers_kept() -> None:
    code = (
        "if True:\n    y = 1\ndef f(x):\n    if x:\n        return g(x)\ndef g(x):\n    return x\n"
    )
    assert program(f"{code}assert f(1) == 2\n") == HEAD + code
    assert program(f"{code}if __name__ == '__main__':\n    f(1)\n") == HEAD + code
    assert program(f"{code}print(f(1))\n") == HEAD + code
    assert program(f"{code}printed = 1\n") == HEAD + code + "printed = 1\n"


def test_a_name_that_only_begins_alike_is_another_function() -> None:
    assert program("def f2(x):\n    return x") == STARTER + "def f2(x):\n    return x"
    assert program("f = half") == HEAD + "f = half"


def test_code_is_left_alone_where_no_function_is_asked_for() -> None:
    code = "print(1)\nprint(2)"
    assert to_program(Problem("p", answer_type="code"), code) == code
    assert program(code, starter="") == code  # it lacks the function, and nothing to continue


def test_the_function_that_tests_call() -> None:
    code = "def helper(x):\n    return x\ndef f(x):\n    return x\n"
    assert called_function(code, "assert set(f(1)) == helper(2)") == "f"
    assert called_function(code, "assert g(1)") == ""
