"""The benchmark of orders: its words, and the problems that it asks."""

from itertools import pairwise

from tts.bench.ordering import Side, _describe, _problems
from tts.presets.load import load_preset
from tts.runtime.job import Job
from tts.runtime.ordering import in_order


def test_orders_are_compared_in_turns() -> None:
    given, grouped = Side(3.0, 0.25, 100, 10, 2), Side(2.0, 0.75, 100, 10, 0)
    assert list(_describe({"as given": [given], "grouped": [grouped]})) == [
        "as given: 25.0% of the prompts' tokens cached, 3.00 s, 2 preemptions",
        "grouped: 75.0% of the prompts' tokens cached, 2.00 s, 0 preemptions",
        "pace, grouped to given: 1.50",
    ]
    problems = list(_problems(documents=3, questions=2, examples=16))
    placed = in_order(list(Job.of_all(load_preset("single"), problems)))
    assert len({p.group for p in placed}) == 3
    assert [a.group == b.group for a, b in pairwise(placed)] == [True, False] * 2 + [True]
    assert min(p.shared_tokens for p in placed) >= 256
