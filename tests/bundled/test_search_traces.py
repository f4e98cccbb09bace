"""What the two models of `tts bench crossover` learn: searches followed by hand."""

from itertools import islice

import pytest

from tts.bundled import search_traces
from tts.bundled.corpus import TURN_END
from tts.bundled.search_traces import KINDS, Traces
from tts.bundled.tokenizer import build_tokenizer
from tts.tasks import sudoku

# 1 2 | . .
# . 3 | . .
# ----+----
# . . | 2 .
# . . | . 1
CLUES = (1, 2, 0, 0, 0, 3, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1)


def test_a_search_through_a_sudoku_by_hand() -> None:
    # C may be 3 or 4, J 1 or 4. With C = 3, D = 4: J = 1 leaves L only 4, which D has; J = 4 leaves
    # it only 1, which P has; so the first choice was wrong.
    assert search_traces.sudoku_trace(CLUES).split("\n") == [
        "A1B2F3K2P1",
        "C3+D4E4G1H2I3J1+LxJ",
        "C3+D4E4G1H2I3J4LxC",
        "C4D3E4G1H2I3J1+L4M2N4O3",
    ]
    assert sudoku.format_rows(next(sudoku.solutions(CLUES))) == ["1243", "4312", "3124", "2431"]


def test_a_search_for_a_target_by_hand() -> None:
    # 25 * 18 is beyond 200, 25 / 18 not exact.
    trace, moves = search_traces.countdown_trace((16, 9, 18), 11)
    assert trace.split("\n") == ["16+9=25,18|+43-7", "16-9=7,18|+25-11"]
    assert [move.text for move in moves] == ["16 - 9 = 7", "18 - 7 = 11"]
    # Of four numbers a line opens what the next ones go into.
    trace, moves = search_traces.countdown_trace((8, 19, 18, 5), 14)
    assert trace.split("\n") == [
        "8+19=27,18,5",
        "18+5=23,27|+50-4",
        "18-5=13,27|+40-14",
    ]
    assert [move.text for move in moves] == ["8 + 19 = 27", "18 - 5 = 13", "27 - 13 = 14"]


@pytest.mark.parametrize("kind", KINDS)
def test_streams_depend_on_seed_and_position_alone(kind: Traces) -> None:
    first = list(islice(search_traces.examples(kind, 7), 20))
    assert list(islice(search_traces.examples(kind, 7, start=15), 5)) == first[15:]
    assert list(islice(search_traces.examples(kind, 8), 20)) != first


def test_both_kinds_end_in_a_box_and_one_alone_searches() -> None:
    direct = [e.response for e in islice(search_traces.examples("direct", 1), 50)]
    dfs = [e.response for e in islice(search_traces.examples("dfs", 1), 50)]
    assert all(text.startswith(r"\boxed{") and text.endswith("}" + TURN_END) for text in direct)
    assert all("\n\n\\boxed{" in text and text.endswith("}" + TURN_END) for text in dfs)


def test_numbers_and_cells_are_single_tokens() -> None:
    texts = islice(search_traces.tokenizer_texts(), 2000)
    tokenizer = build_tokenizer(
        texts, vocabulary=search_traces.VOCABULARY, alone=search_traces.ALONE
    )
    assert tokenizer.tokenize("16+9=25,18|+43") == [
        "16",
        "+",
        "9",
        "=",
        "25",
        ",",
        "18",
        "|",
        "+",
        "43",
    ]
    assert tokenizer.tokenize("C3+D4\nLxC\n") == ["C", "3", "+", "D", "4", "Ċ", "L", "x", "C", "Ċ"]
    assert tokenizer.tokenize("1243 4312") == [*"1243", "Ġ", *"4312"]
