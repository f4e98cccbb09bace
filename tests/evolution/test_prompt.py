"""What a model is asked, and the program that its answer makes."""

import pytest

from tts.evolution.parents import Choice
from tts.evolution.population import Program
from tts.evolution.prompt import END, START, Rejected, ask, to_child

CODE = "def f():\n    return 1\n"
WITHIN = f"import math\n{START}\n{CODE}{END}\nprint(f())\n"


def change(old: str, new: str) -> str:
    return f"<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


@pytest.mark.parametrize(
    ("answer", "parent", "child"),
    [
        (change("    return 1\n", "    return 2\n"), CODE, "def f():\n    return 2\n"),
        ("So:\n```python\ndef f():\n    return 3\n```", CODE, "def f():\n    return 3\n"),
        # Between the marks alone, with or without them in the answer.
        (change("return 1\n", "return 2\n"), WITHIN, WITHIN.replace("return 1", "return 2")),
        ("```python\ndef f(): return 4\n```", WITHIN, WITHIN.replace(CODE, "def f(): return 4\n")),
        (
            f"```python\nimport os\n{START}\ndef f(): return 4\n{END}\n```",
            WITHIN,
            WITHIN.replace(CODE, "def f(): return 4\n"),
        ),
        # Two changes in turn; the second sees what the first has made.
        (
            change("    return 1\n", "    x = 1\n") + change("    x = 1\n", "    return 5\n"),
            CODE,
            "def f():\n    return 5\n",
        ),
    ],
)
def test_answers_make_programs(answer: str, parent: str, child: str) -> None:
    assert to_child(answer, parent, max_chars=1_000) == child


@pytest.mark.parametrize(
    ("answer", "parent", "reason"),
    [
        ("I would use a loop.", CODE, "neither changes nor a program"),
        (change("    return 9\n", "    return 2\n"), CODE, "repeats no lines"),
        (change("import math\n", "import os\n"), WITHIN, "repeats no lines"),
        (change("\n", "x\n"), CODE, "repeats no lines"),
        (f"```python\n{CODE}```", CODE, "changes nothing"),
        ("```python\n" + "x = 1\n" * 50 + "```", CODE, "has 300 characters, and 100 are accepted"),
    ],
)
def test_answers_that_make_none(answer: str, parent: str, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        to_child(answer, parent, max_chars=100)


def test_a_request_shows_scores_notes_and_others() -> None:
    parent = Program(3, WITHIN, 0.5, {"bins": 7.0}, notes="it is slow")
    text = ask(Choice(parent, (Program(1, CODE, 0.25),)), "diff")
    assert f"The program, score 0.5, bins 7:\n```python\n{WITHIN}```" in text
    assert "What the evaluator said of it:\nit is slow" in text
    assert f"Another program, score 0.25:\n```python\n{CODE}```" in text
    assert f"between the lines {START} and {END}" in text and "<<<<<<< SEARCH" in text
    whole = ask(Choice(Program(0, CODE, 0.5), ()), "rewrite")
    assert "one ```python block" in whole and START not in whole and "SEARCH" not in whole
