import random
from itertools import islice
from pathlib import Path

import pytest

from tts.bundled.chain_attempts import ChainTask, chain_task
from tts.bundled.corpus import LATER, Tried, examples, load_tried, tried_task, write_tried
from tts.bundled.countdown_attempts import CountdownTask, countdown_task
from tts.bundled.prm_data import build_row, draw_pair, draw_slips
from tts.prompts import parse_verdict
from tts.tasks import chain, countdown
from tts.tasks.chain import Chain, Operation
from tts.tasks.countdown import Move, Puzzle
from tts.tasks.labels import label_steps
from tts.tasks.splits import split_of, split_steps

# 45 + 23 = 68, 68 * 3 = 204
CHAIN = Chain(45, (Operation("add", 23), Operation("mul", 3)), 0, 1)
CHAIN_TASK = ChainTask(chain.to_problem(CHAIN, "hand", 1), CHAIN)
# 39 - 8 = 31, 31 + 5 = 36
PUZZLE = Puzzle((39, 8, 5), 36, (Move(39, "-", 8), Move(31, "+", 5)), 0)
COUNTDOWN_TASK = CountdownTask(countdown.to_problem(PUZZLE, "hand", 1), PUZZLE)


def test_stream_depends_on_seed_and_position_alone() -> None:
    first = list(islice(examples(7, LATER), 20))
    assert list(islice(examples(7, LATER, start=15), 5)) == first[15:]
    assert list(islice(examples(8, LATER), 20)) != first


def test_stream_asks_only_training_problems() -> None:
    rng = random.Random(0)
    for _ in range(200):
        assert split_of(chain_task(rng).chain.key) == "train"
        assert split_of(countdown_task(rng).puzzle.key) == "train"


@pytest.mark.parametrize(
    ("attempt", "check"),
    [
        (
            "45 + 23 = 68\n\n68 * 3 = 204\n\n\\boxed{204}",
            "45 + 23 = 68; attempt 45 + 23 = 68, right\n\n"
            "68 * 3 = 204; attempt 68 * 3 = 204, right\n\n"
            "\\boxed{204}; attempt \\boxed{204}, right\n\nVerdict: correct",
        ),
        (
            "45 + 23 = 68\n\n68 * 3 = 214\n\n\\boxed{214}",
            "45 + 23 = 68; attempt 45 + 23 = 68, right\n\n"
            "68 * 3 = 204; attempt 68 * 3 = 214, wrong\n\nVerdict: incorrect",
        ),
        (
            "45 + 23 = 58\n\n\\boxed{58}",
            "45 + 23 = 68; attempt 45 + 23 = 58, wrong\n\nVerdict: incorrect",
        ),
        (
            "45 + 23 = 68",
            "45 + 23 = 68; attempt 45 + 23 = 68, right\n\n"
            "68 * 3 = 204; attempt ends, wrong\n\nVerdict: incorrect",
        ),
    ],
)
def test_check_of_a_chain(attempt: str, check: str) -> None:
    assert CHAIN_TASK.check(attempt) == check


@pytest.mark.parametrize(
    ("attempt", "check"),
    [
        (
            "39 - 8 = 31, left 5 31\n\n31 + 5 = 36\n\n\\boxed{39-8=31, 31+5=36}",
            "39 - 8 = 31, left 5 31; attempt 39 - 8 = 31, left 5 31, right\n\n"
            "31 + 5 = 36; attempt 31 + 5 = 36, right\n\n36 is 36, right\n\nVerdict: correct",
        ),
        (
            "39 - 8 = 31, left 5 31\n\n31 - 5 = 36\n\n\\boxed{39-8=31, 31-5=36}",
            "39 - 8 = 31, left 5 31; attempt 39 - 8 = 31, left 5 31, right\n\n"
            "31 - 5 = 26; attempt 31 - 5 = 36, wrong\n\nVerdict: incorrect",
        ),
        (
            "39 - 8 = 31, left 5 31\n\n31 - 5 = 26\n\n\\boxed{39-8=31, 31-5=26}",
            "39 - 8 = 31, left 5 31; attempt 39 - 8 = 31, left 5 31, right\n\n"
            "31 - 5 = 26; attempt 31 - 5 = 26, right\n\n26 is not 36, wrong\n\n"
            "Verdict: incorrect",
        ),
        (
            "39 - 7 = 32, left 5 32",
            "not possible; attempt 39 - 7 = 32, left 5 32, wrong\n\nVerdict: incorrect",
        ),
        (
            "39 - 8 = 31, left 5 31",
            "39 - 8 = 31, left 5 31; attempt 39 - 8 = 31, left 5 31, right\n\n"
            "not possible; attempt ends, wrong\n\nVerdict: incorrect",
        ),
    ],
)
def test_check_of_a_countdown(attempt: str, check: str) -> None:
    assert COUNTDOWN_TASK.check(attempt) == check


@pytest.mark.parametrize("draw", [chain_task, countdown_task])
def test_wrong_attempts_are_wrong_and_found_out(draw) -> None:  # type: ignore[no-untyped-def]
    rng = random.Random(11)
    for _ in range(100):
        task = draw(rng)
        attempt = task.wrong(rng)
        assert not label_steps(task.problem, split_steps(attempt))[-1]
        assert parse_verdict(task.check(attempt)) is False
        assert parse_verdict(task.check(task.solution)) is True


def test_thought_about_a_chain_ends_in_its_values_and_hides_slips_from_the_loss() -> None:
    rng = random.Random(2)
    seen = 0
    for _ in range(100):
        text, spans = CHAIN_TASK.thought(rng)
        assert text.endswith("68 * 3 = 204\nCheck: 204 / 3 = 68\n\n")
        seen += len(spans)
        assert all(text[a:b] not in ("68", "204") and text[a:b].isdecimal() for a, b in spans)
        assert text.count("Wait, ") == len(spans)
    assert seen > 10


def test_thought_about_a_countdown_starts_again_until_it_is_there() -> None:
    rng = random.Random(2)
    text, spans = COUNTDOWN_TASK.thought(rng)
    assert text.endswith("31 + 5 = 36\n\n36 is right.\n\n")
    assert text.count("Start again.") == len(spans)


def test_reward_row_has_a_tag_and_label_for_each_step() -> None:
    row = build_row(CHAIN_TASK.problem, "45 + 23 = 68\n\n68 * 3 = 214\n\n\\boxed{214}")
    assert row is not None
    assert row.labels == (True, False, False)
    assert row.text[row.response_start :] == (
        "45 + 23 = 68<extra_0>68 * 3 = 214<extra_0>\\boxed{214}<extra_0>"
    )


def test_choice_of_a_chain_is_a_merge() -> None:
    right, wrong = CHAIN_TASK.solution, "45 + 23 = 58\n\n\\boxed{58}"
    assert CHAIN_TASK.choose([wrong, right]) == right
    assert CHAIN_TASK.choose([wrong, wrong]) == right


def test_choice_of_a_countdown_is_the_first_that_meets_the_target() -> None:
    low = "39 - 8 = 31, left 5 31\n\n31 - 5 = 36\n\n\\boxed{39-8=31, 31-5=36}"
    other = "39 + 5 = 44, left 8 44\n\n44 - 8 = 36\n\n\\boxed{39+5=44, 44-8=36}"
    assert COUNTDOWN_TASK.choose([low, other, COUNTDOWN_TASK.solution]) == (
        f"<think>\n1: 31 - 5 = 26, wrong\n2: 44 - 8 = 36, right\n</think>\n\n{other}"
    )
    assert COUNTDOWN_TASK.choose(["?"]) == (
        f"<think>\n1: not possible, wrong\n</think>\n\n{COUNTDOWN_TASK.solution}"
    )


def test_own_attempts_come_back_labelled(tmp_path: Path) -> None:
    path = tmp_path / "tried.jsonl"
    assert load_tried(path) == []
    task = tried_task(0)
    write_tried(path, [[task.solution, "?", "too long " * 100], []])
    first, second = load_tried(path)
    assert (first.right, first.wrong) == ((task.solution,), ("?",))
    assert (second.right, second.wrong) == ((), ())
    assert list(islice(examples(3, LATER, tried=[first]), 30)) != list(
        islice(examples(3, LATER), 30)
    )


@pytest.mark.parametrize("draw", [chain_task, countdown_task])
def test_slips_are_half_wrong_and_marked_where_they_part(draw) -> None:  # type: ignore[no-untyped-def]
    rng = random.Random(5)
    steps = [step for _ in range(100) for step in draw(rng).slips(rng)]
    assert 0.45 < sum(step.right for step in steps) / len(steps) < 0.55
    for step in steps:
        left, sign, second, _, shown = step.text.split(", ")[0].split(" ")
        result = str(Move(int(left), sign, int(second)).result)
        assert (shown == result) == step.right
        if not step.right:
            digit = step.place - step.text.index(shown, step.text.index("="))
            assert shown[:digit] == result[:digit]
            assert shown[digit : digit + 1] != result[digit : digit + 1]


def test_rows_of_slips_carry_their_marks() -> None:
    row = draw_slips(random.Random(1))
    assert row is not None
    assert len(row.marks) == len(row.labels)
    assert row.labels[0] == row.marks[0][1]


def test_pairs_part_at_one_mark() -> None:
    wrong = "45 + 23 = 68\n\n68 * 3 = 214\n\n\\boxed{214}"
    tried = [Tried(CHAIN_TASK, (CHAIN_TASK.solution,), (wrong,))]
    rng = random.Random(0)
    rows = next(rows for rows in iter(lambda: draw_pair(rng, tried), None) if "45" in rows[0].text)
    assert [row.labels for row in rows] == [(True, True, True), (True, False, False)]
    assert [row.marks[0][1] for row in rows] == [True, False]
    assert [row.text[row.marks[0][0]] for row in rows] == ["0", "1"]
