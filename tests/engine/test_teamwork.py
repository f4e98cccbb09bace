"""Rules of a team, by hand: who sees what in which order, steps, checks, ends; pages."""

from collections.abc import Sequence
from itertools import count

import pytest
import torch

from tests.engine.written_out import TEAM, team_of
from tts.engine.segments import PAGE_TOKENS, CacheForm, Segments
from tts.engine.teamwork import Row, Shared, Teamwork
from tts.types import Team

# Names of segments, in the order in which they are opened.
PROMPT, OTHERS, BETWEEN, OWN = 1, 2, 3, 4


class Letters:
    """A token is a character."""

    def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))

    def decode(self, token_ids: Sequence[int]) -> str:
        return "".join(map(chr, token_ids))


class Table:
    """Plays the model: keeps how long segments are, and has the workers write given texts."""

    def __init__(self, team: Team, *, max_steps: int = 1_000, room: int = 10_000) -> None:
        names = count(1)
        self.lengths: dict[int, int] = {}
        self.texts: dict[int, str] = {}

        def open_segment() -> int:
            name = next(names)
            self.lengths[name], self.texts[name] = 0, ""
            return name

        shared = Shared.of(team, [ord("?")], Letters(), open_segment)
        for fixed in shared:
            while fixed.pending:
                self.read([fixed.row()])
        self.work = Teamwork(team, shared, Letters(), open_segment, max_steps=max_steps, room=room)

    def read(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.lengths[row.view[-1]] += len(row.tokens)
            self.texts[row.view[-1]] += Letters().decode(row.tokens)

    def write(self, *texts: str) -> None:
        """Have each worker draw its text, character by character."""
        for letters in zip(*texts, strict=True):
            self.read(self.work.rows())
            self.work.take([ord(letter) for letter in letters], self.lengths.__getitem__)

    def seen(self) -> list[str]:
        """Return what each worker sees when it draws next, as text."""
        rows = self.work.rows()
        self.read(rows)
        return [self.seen_now(row) for row in rows]

    def seen_now(self, row: Row) -> str:
        """Return what a row sees, as text."""
        return "".join(self.texts[name] for name in row.view)


def test_each_sees_prompt_finished_steps_others_and_itself_last() -> None:
    table = Table(TEAM)
    assert table.seen() == [
        "?\n\n= others =\n\nB [1]: 6 * 5=\n\n= own =\n\nA [1]: 7",
        "?\n\n= others =\n\nA [1]: 7=\n\n= own =\n\nB [1]: 6 * 5",
    ]


def test_a_third_worker_stands_between_the_others_in_their_order() -> None:
    team = team_of("A", "B", "C")
    assert Table(team).seen()[1] == (
        "?\n\n= others =\n\nA [1]: 7=\n\nC [1]: 7=\n\n= own =\n\nB [1]: 7"
    )


def test_one_who_works_alone_sees_no_headers() -> None:
    table = Table(team_of("A"))
    table.write("+1.\n\n2")
    assert table.seen() == ["?A [1]: 7+1.\n\nA [2]: 2"]
    assert table.work.text == "A [1]: 7+1.\n\nA [2]: 2"


def test_a_finished_step_is_seen_where_it_was_written_and_its_last_token_opens_the_next() -> None:
    table = Table(TEAM)
    segments = table.work.segments
    table.write("+1.\n\n", " = 30")
    rows = table.work.rows()
    # A's segment joins the finished ones as it is; the newline that ended the step was not in it.
    assert rows[1].view[:2] == [PROMPT, segments[0]]
    assert table.texts[segments[0]] == "A [1]: 7+1.\n"
    assert Letters().decode(rows[0].tokens) == "\nA [2]: "
    table.read(rows)
    assert table.seen_now(rows[1]) == (
        "?A [1]: 7+1.\n\n\n= others =\n\n\nA [2]: =\n\n= own =\n\nB [1]: 6 * 5 = 30"
    )


def test_steps_stand_in_the_order_in_which_they_ended() -> None:
    table = Table(TEAM)
    table.write("+1, so\n.\n\n", ".\n\n3.\n\n...")
    assert table.work.text.startswith("B [1]: 6 * 5.\n\nB [2]: 3.\n\nA [1]: 7+1, so\n.\n\n")


@pytest.mark.parametrize(
    ("text", "step_ends", "ended"),
    [
        ("so:\n\n", "sentence", False),
        ("so:\n\n", "paragraph", True),
        ("so. \n\n", "sentence", True),
        ("so!\n x", "sentence", False),
        ("so。\n\n", "sentence", True),
    ],
)
def test_a_blank_line_ends_a_step_after_a_sentence(text: str, step_ends: str, ended: bool) -> None:
    table = Table(team_of("A", step_ends=step_ends))
    table.write(text)
    assert ("A [2]" in table.work.text) == ended


def test_words_that_open_steps_count_where_the_team_says_so() -> None:
    # Of 30 tokens of both, 7 of A's next opening leave room for 23 drawn ones: 11 of each.
    text, steps = "+1.\n\n" + "x" * 20, {False: 15, True: 11}
    for counts_put, drawn in steps.items():
        table = Table(team_of("A", "B", counts_put=counts_put), max_steps=15)
        while table.work.finish is None:
            table.write(text[table.work.num_drawn // 2], "y")
        assert table.work.num_drawn == 2 * drawn


def test_a_check_opens_the_next_step_after_enough_tokens_of_all() -> None:
    # 15 drawn by each and 8 + 12 put in come to 42 > 40 only with B's share.
    table = Table(team_of("A", "B", check_every=25))
    table.write("1234567890123.\n\n"[1:], "123456789012345")
    assert "A [2]: check " in table.work.text
    early = Table(team_of("A", "B", check_every=40))
    early.write("1234567890123.\n\n"[1:], "123456789012345")
    assert "check" not in early.work.text


@pytest.mark.parametrize(
    ("text", "finish"),
    [
        ("\\boxed{8}.\n\n", "stop"),
        ("\\boxed{8} \n\n", "stop"),  # an answer ends a step as a sentence does
        ("\\boxed{\\frac{1}{8}}.\n\n", "stop"),
        ("\\boxed{\\frac{1}{8}.\n\n", None),
        ("\\boxed{8}. And", None),  # the step goes on
    ],
)
def test_a_finished_step_with_a_closed_box_ends_the_work(text: str, finish: str | None) -> None:
    table = Table(team_of("A"))
    table.write(text)
    assert table.work.finish == finish


def test_all_draw_as_many_tokens_as_they_may_or_as_the_context_holds() -> None:
    table = Table(TEAM, max_steps=3)
    table.write("xxx", "yyy")
    assert (table.work.finish, table.work.num_drawn) == ("length", 6)
    # A's view: 1 + 14 + 12 + 11 + 8 tokens before the first is drawn.
    full = Table(TEAM, room=50)
    full.write("x", "y")
    assert full.work.finish is None
    full.write("xx", "yy")
    assert full.work.finish == "length"


def test_a_team_has_names_and_words_to_begin_with() -> None:
    with pytest.raises(ValueError, match="words with which its first step opens"):
        team_of("A", "B", openings=("", "x"))


def test_pages_are_handed_out_as_tokens_come_and_taken_back() -> None:
    form = CacheForm(2, 1, 16, torch.float32, torch.device("cpu"))
    segments = Segments(form)
    first, second = segments.open(), segments.open()
    slots = segments.extend(first, PAGE_TOKENS + 1)
    assert slots[:2] == [slots[0], slots[0] + 1] and len(set(slots)) == PAGE_TOKENS + 1
    other = segments.extend(second, 3)
    assert not {slot // PAGE_TOKENS for slot in other} & {slot // PAGE_TOKENS for slot in slots}
    assert segments.table([first, second]).tolist() == [
        [slots[0] // PAGE_TOKENS, slots[-1] // PAGE_TOKENS],
        [other[0] // PAGE_TOKENS, 0],
    ]
    segments.caches[1][slots[-1] // PAGE_TOKENS, 0, 0] = 5.0
    segments.extend(second, 5_000)  # the cache grows, and keeps what it holds
    assert segments.caches[1][slots[-1] // PAGE_TOKENS, 0, 0].tolist() == [5.0] * 32
    segments.close([first, second])
    assert segments.num_pages == 0
