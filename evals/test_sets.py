"""Published test sets, known by the hashes of their statements wherever these occur.

`test_sets.txt` has lines of a benchmark's name and `statement_key`s; no statement can be read out
of them. Of mbpp it has those 179 of 257 tasks that were at hand.
"""

from functools import cache
from pathlib import Path

from tts.types import Problem
from tts.types.statement import statement_key

_FILE = Path(__file__).with_name("test_sets.txt")


def keys_of(benchmark: str) -> frozenset[str]:
    """Return the keys of a benchmark's test problems; none of one whose keys are not known."""
    return _keys().get(benchmark, frozenset())


def find_test_set(problem: Problem) -> str | None:
    """Return the benchmark in whose test set a problem is; None if it is in none."""
    key = statement_key(problem.statement)
    return next((name for name, keys in _keys().items() if key in keys), None)


@cache
def _keys() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _FILE.read_text("ascii").splitlines():
        name, *keys = line.split()
        found.setdefault(name, set()).update(keys)
    return {name: frozenset(keys) for name, keys in found.items()}
