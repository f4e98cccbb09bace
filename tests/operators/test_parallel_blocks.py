"""Texts that fork and join: what each path sees, what the conclusion sees, what it costs."""

import pytest

from tests.support.results import noted, prompts_of
from tests.support.solving import SAMPLING, solve
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine, decode
from tts.operators.parallel_blocks import parallel_blocks
from tts.types import Budget, Result, Sampling

GOALS = "<Outline>1: 3 * 4</Outline>\n<Outline>2: 5 * 6</Outline>"
OPEN = f"Two products.\n<Parallel>\n<Goal>{GOALS}</Goal>"
TAIL = "So 12 + 30.</Conclusion>\n</Parallel>\n\\boxed{42}"
PATHS = {"1": " 3 * 4 = 12.", "2": " 5 * 6 = 30, which took longer."}
WHOLE = f"{OPEN}\n<Path>1:{PATHS['1']}</Path>\n<Path>2:{PATHS['2']}</Path>\n<Conclusion>{TAIL}"


def writer(opening: str = OPEN, paths: dict[str, str] = PATHS, tail: str = TAIL) -> Script:
    """Script: opens a block, writes the path that is begun, concludes."""

    def line(ask: Ask) -> Line:
        so_far = ask.prompt.rpartition("<assistant>")[2]
        number = so_far.rpartition("<Path>")[2].removesuffix(":")
        if not so_far:
            return Line(opening)
        return Line(f"{paths[number]}</Path>" if number in paths else tail)

    return line


def work(
    script: Script, sampling: Sampling = SAMPLING, **settings: int
) -> tuple[Result, list[str]]:
    engine = ScriptedEngine(script)
    result = solve(engine, parallel_blocks(**settings), sampling=sampling)
    return result, [prompt.rpartition("<assistant>")[2] for prompt in prompts_of(engine)]


def test_paths_see_what_is_before_them_and_the_conclusion_sees_all() -> None:
    result, sent = work(writer())
    assert result.answer is not None and result.answer.text == "42"
    assert sent == [
        "",
        f"{OPEN}\n<Path>1:",
        f"{OPEN}\n<Path>2:",
        WHOLE.removesuffix(TAIL),
    ]
    (made,) = result.trajectories
    assert made.text == WHOLE == decode(made.token_ids)


def test_two_independent_parts_give_the_text_that_one_writes_in_a_row() -> None:
    alone, _ = work(lambda ask: Line(WHOLE.replace("</Goal>", "</Goal >")))
    forked, _ = work(writer(OPEN))
    assert forked.trajectories[0].text == alone.trajectories[0].text.replace("</Goal >", "</Goal>")


def test_the_longest_path_counts_for_the_chain_and_all_of_them_for_the_sum() -> None:
    result, _ = work(writer())
    first, second = (len(path + "</Path>") for path in PATHS.values())
    around = len(OPEN) + len(TAIL)
    assert result.usage.generated_tokens == around + first + second
    (figures,) = result.facts.graphs
    assert (figures.tasks, figures.failed) == (2, 0)
    assert figures.sequential_tokens == around + max(first, second)
    assert result.usage.sequential_tokens == figures.sequential_tokens
    assert noted(result, "fork") == [
        {"paths": 2, "tokens": first + second, "longest": max(first, second), "depth": 0}
    ]


@pytest.mark.parametrize(
    "goals",
    [
        "<Outline>1: all of it</Outline>",
        "no outline",
        "<Outline>1: a</Outline><Outline>3: b</Outline>",
        "".join(f"<Outline>{i}: part</Outline>" for i in range(1, 10)),
    ],
    ids=["one", "none", "gap", "too many"],
)
def test_a_block_that_cannot_be_read_goes_on_as_it_is(goals: str) -> None:
    opening = f"<Parallel><Goal>{goals}</Goal>"
    result, sent = work(writer(opening))
    assert sent == ["", opening]
    assert result.answer is not None and result.trajectories[0].text == opening + TAIL
    assert (result.facts.graphs[0].tasks, result.facts.graphs[0].failed) == (0, 1)


def test_a_mark_without_a_block_is_no_fork() -> None:
    result, sent = work(writer("I see </Goal>"))
    assert sent == ["", "I see </Goal>"] and result.answer is not None


NESTED = {"1": " 12.", "2": f" now<Parallel><Goal>{GOALS}</Goal>"}


@pytest.mark.parametrize(("max_depth", "tasks", "unread"), [(1, 2, 1), (2, 4, 0)])
def test_a_path_may_fork_again_to_a_depth(max_depth: int, tasks: int, unread: int) -> None:
    def line(ask: Ask) -> Line:
        so_far = ask.prompt.rpartition("<assistant>")[2]
        number = so_far.rpartition("<Path>")[2].removesuffix(":")
        if " now" not in so_far or so_far.endswith("</Parallel></Path>\n<Conclusion>"):
            return writer(OPEN, NESTED)(ask)
        if number in NESTED:
            return Line(f" {number}</Path>")
        return Line(" both.</Conclusion></Parallel></Path>")

    result, _ = work(line, max_depth=max_depth)
    assert result.answer is not None and result.answer.text == "42"
    figures = result.facts.graphs[0]
    assert (figures.tasks, figures.failed) == (tasks, unread)


def test_a_path_that_is_cut_is_closed_and_the_text_goes_on() -> None:
    result, sent = work(writer(), path_tokens=5)
    assert sent[-1].endswith("</Goal>\n<Path>1: 3 * </Path>\n<Path>2: 5 * </Path>\n<Conclusion>")
    assert result.answer is not None


def test_a_failed_path_leaves_its_goal_open_and_the_others_done() -> None:
    def line(ask: Ask) -> Line:
        return Line("x", error="busy") if ask.prompt.endswith("1:") else writer()(ask)

    result, sent = work(line)
    assert result.answer is not None and f"<Path>2:{PATHS['2']}</Path>" in sent[-1]


@pytest.mark.parametrize("tokens", [10, 100, 130])
def test_it_keeps_to_its_budget(tokens: int) -> None:
    result = solve(writer(), parallel_blocks(n=2), budget=Budget(tokens=tokens))
    assert (result.usage.generated_tokens or 0) <= tokens and result.reason
