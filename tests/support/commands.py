"""The command line with a scripted engine in place of a model: what its fixtures give."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.engine.scripted import Ask, Line


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def add_up(ask: Ask) -> Line:
    """Add the two numbers of "What is A plus B?"; every third seed is off by one."""
    words = ask.prompt.split("What is ")[1].split("?")[0].split()
    total = int(words[0]) + int(words[2]) + (ask.seed % 3 == 0)
    return Line("x" * (ask.seed % 7) + rf"\boxed{{{total}}}")


def write_sums(path: Path, count: int) -> str:
    """Write a benchmark file of so many sums; returns its name."""
    rows = [
        {"id": f"s{i}", "problem": f"What is {i} plus 2?", "answer": str(i + 2)}
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
