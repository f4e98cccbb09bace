"""What was chosen for which difficulty, by hand."""

from tts.evals.choices import chosen_rows
from tts.evals.records import Record, Sample
from tts.types import RunFacts, Usage
from tts.types.facts import Chosen


def record(
    expected: float, what: str, correct: bool | None, tokens: int | None, *, first: bool = False
) -> Record:
    facts = RunFacts(choices=(Chosen("sample", what, expected, 0.9),))
    usage = Usage(generated_tokens=tokens)
    samples = (Sample("4", 0, first, 10), Sample("4", 0, not first, 10))
    return Record("p", 0, "4", correct, usage, 1.0, "", samples, is_cut=True, facts=facts)


def test_rows_are_by_fifths_of_the_first_chance_and_by_choice() -> None:
    rows = chosen_rows(
        [
            record(0.95, "1 samples", True, 100, first=True),
            record(1.0, "1 samples", False, 300),
            record(0.1, "search after 2", True, 1_000),
            record(0.15, "8 samples", None, None),
            record(0.1, "8 samples", True, 800),
        ]
    )
    assert [(row.fifth, row.what, row.problems) for row in rows] == [
        (0, "8 samples", 2),
        (0, "search after 2", 1),
        (4, "1 samples", 2),
    ]
    assert (rows[2].accuracy, rows[2].tokens) == (0.5, 200)
    assert (rows[0].accuracy, rows[0].tokens) == (1.0, None)  # one mark, one count
    assert (rows[0].first, rows[1].first, rows[2].first) == (0.0, 0.0, 0.5)  # by the first alone


def test_a_run_that_chooses_nothing_has_no_rows() -> None:
    plain = Record("p", 0, "4", True, Usage(), 1.0, "", (), is_cut=False)
    assert chosen_rows([plain]) == []
