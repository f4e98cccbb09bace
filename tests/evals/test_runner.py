"""Runs on a scripted engine: figures, resume, sharing an engine, refusals."""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.verifiers import ByText
from tts.console.tables import notes
from tts.engine.scripted import INFO, Ask, Line, ScriptedEngine
from tts.errors import BudgetError, CapabilityError, EngineError, InputError, ProblemError
from tts.evals import runner
from tts.evals.metrics import wilson_interval
from tts.evals.progress import Progress
from tts.evals.records import Record
from tts.evals.runner import Plan, _max_problems, evaluate, evaluate_all
from tts.evals.stored_run import GENERATIONS, load_run
from tts.presets.load import load_preset
from tts.protocols import Capabilities, Context
from tts.types import Answer, Budget, Grade, Problem, Score, Trajectory
from tts.types.figures import Summary

PROBLEMS = tuple(
    Problem(id=f"p{i}", statement=f"Say {i}.", reference=str(i), answer_type="integer")
    for i in range(6)
)


def grade(problem: Problem, answer: Answer) -> Grade:
    return Grade(answer.canonical == problem.reference)


def script(ask: Ask) -> Line:
    """Right two times out of three, by seed; lengths differ, so samples end at different times."""
    number = int(ask.prompt.split("Say ")[1].split(".")[0])
    said = number if ask.seed % 3 else 99
    return Line("x" * (ask.seed % 7) + rf"\boxed{{{said}}}")


def plan(preset: str = "self_consistency", *overrides: str, **changes: Any) -> Plan:
    loaded = load_preset(preset, overrides or (("n=4",) if preset != "single" else ()))
    made = Plan("say", PROBLEMS, grade, loaded, options={"engine": "scripted"})
    return replace(made, **changes)


def run(made: Plan, engine: ScriptedEngine, root: Path, **options: Any) -> Summary:
    async def work() -> Summary:
        return await evaluate(made, engine, root=root, **options)

    return asyncio.run(work())


def records(summary: Summary) -> list[Record]:
    return sorted(load_run(Path(summary.out)).records, key=lambda r: (r.repeat, r.id))


def outcome(record: Record) -> tuple[Any, ...]:
    """Return what must not depend on how often a run was interrupted."""
    usage = record.usage
    spent = (usage.prompt_tokens, usage.generated_tokens, usage.calls, usage.wasted_tokens)
    return (record.id, record.repeat, record.answer, record.correct, record.samples, spent)


def test_a_plan_that_names_no_engine_is_refused_before_it_runs() -> None:
    with pytest.raises(InputError, match=r'do not say by what kind of engine .* add "engine"'):
        plan(options={"split": "test"})


class TwoOfThree(ByText):
    """Runs an attempt on two tests of three; it passes the second."""

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        return [Score(1 / 3, steps=(0.0, 1.0, 0.0), not_run=(2,)) for _ in trajectories]


def test_a_record_tells_tests_that_failed_from_those_that_were_not_run(tmp_path: Path) -> None:
    made = plan("best_of_n", "n=2", "verifier=tests")
    tests = TwoOfThree(lambda text: 0.0)
    summary = run(made, ScriptedEngine(script), tmp_path, verifiers={"tests": tests})
    samples = [sample for record in records(summary) for sample in record.samples]
    assert {sample.tests["tests"] for sample in samples} == {"01-"}
    assert {sample.steps_by("tests") for sample in samples} == {(0.0, 1.0, 0.0)}


def test_figures_agree_with_the_records(tmp_path: Path) -> None:
    summary = run(plan(), ScriptedEngine(script), tmp_path)
    found = records(summary)
    assert [r.id for r in found] == [p.id for p in PROBLEMS]
    assert summary.accuracy == sum(r.correct is True for r in found) / 6
    assert summary.samples == 24  # 6 problems x 4
    right = [sum(a.correct for a in r.samples) for r in found]
    assert summary.pass_at_k[1] == pytest.approx(sum(right) / 24)
    assert summary.pass_at_k[4] == sum(c > 0 for c in right) / 6
    assert set(summary.maj_at_k) == {1, 2, 4}
    assert summary.tokens.generated == sum(a.tokens or 0 for r in found for a in r.samples)
    assert summary.tokens.reused == 0


def test_every_sample_is_kept_even_if_it_gave_no_answer(tmp_path: Path) -> None:
    silent = ScriptedEngine(lambda ask: Line("hm" if ask.index == 0 else r"\boxed{0}"))
    summary = run(plan(), silent, tmp_path)
    for record in records(summary):
        assert [a.answer for a in record.samples] == [None, "0", "0", "0"]
    # Three of four say 0, which is right for p0 alone: pass@1 = (3/4) / 6.
    assert summary.pass_at_k[1] == pytest.approx(0.125)


def test_aborted_samples_leave_no_fair_draw(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda ask: Line(r"\boxed{1}" + " " * 20 * ask.index))
    summary = run(plan("early_stop", "n=8"), engine, tmp_path)
    assert summary.samples < 48
    assert summary.pass_at_k == {} and summary.maj_at_k == {}


@pytest.mark.parametrize("preset", ["early_stop", "adaptive_consistency", "esc", "auto", "cascade"])
def test_where_a_rule_decides_how_many_samples_there_are_no_curve_is_drawn(
    tmp_path: Path, preset: str
) -> None:
    # Three problems whose samples agree at once, three whose samples do not.
    def line(ask: Ask) -> Line:
        number = int(ask.prompt.split("Say ")[1].split(".")[0])
        return Line(rf"\boxed{{{number if number < 3 or ask.seed % 3 else ask.seed % 50}}}")

    summary = run(plan(preset, "sampling.max_tokens=200"), ScriptedEngine(line), tmp_path)
    assert any(record.is_cut for record in records(summary))
    assert summary.pass_at_k == {} and summary.maj_at_k == {}


def test_all_plans_are_checked_before_the_first_token(tmp_path: Path) -> None:
    engine = ScriptedEngine(script)
    plans = [plan(), plan(budget=Budget(usd=1.0))]
    with pytest.raises(BudgetError, match="no price"):
        asyncio.run(evaluate_all(plans, engine, root=tmp_path))
    assert engine.requests == [] and list(tmp_path.iterdir()) == []


def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    summary = run(plan(), ScriptedEngine(script), tmp_path)
    head = Path(summary.out, "run.json").read_text()
    assert run(plan(), ScriptedEngine(script), tmp_path) == summary
    assert Path(summary.out, "run.json").read_text() == head
    # Where it was moved to is where it is.
    moved = tmp_path / "moved"
    moved.mkdir()
    Path(summary.out).rename(moved / Path(summary.out).name)
    assert run(plan(), ScriptedEngine(script), moved).out.startswith(str(moved))


def test_a_problem_that_is_done_again_gives_other_figures(tmp_path: Path) -> None:
    summary = run(plan(), ScriptedEngine(script), tmp_path)
    path = Path(summary.out, "problems.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    engine = ScriptedEngine(script)
    again = run(plan(), engine, tmp_path)
    assert again.done == again.planned == 6 and again.accuracy == summary.accuracy
    assert engine.requests == []  # its samples are still there


@pytest.mark.parametrize("die_at", [3, 10, 12, 14])
def test_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, die_at: int) -> None:
    whole = run(plan(), ScriptedEngine(script), tmp_path / "whole")
    dying = ScriptedEngine(script, die_at=die_at)
    with pytest.raises(EngineError, match="died"):
        run(plan(), dying, tmp_path / "torn")
    (folder,) = (tmp_path / "torn").iterdir()
    num_logged = (folder / GENERATIONS).read_bytes().count(b'"kind":"completion"')
    num_before = len(load_run(folder).records)
    second = ScriptedEngine(script)
    summary = run(plan(), second, tmp_path / "torn")
    assert list(map(outcome, records(summary))) == list(map(outcome, records(whole)))
    assert summary.out == str(folder)
    # No recorded sample is drawn again, and no finished problem is run again.
    assert sum(request.n for request in second.requests) == 24 - num_logged
    finished = {r.id for r in load_run(folder).records[:num_before]}
    assert {p.id for p in PROBLEMS} - finished >= asked(second)
    third = ScriptedEngine(script)
    again = run(plan(), third, tmp_path / "torn")
    assert third.requests == []
    assert again == summary  # its seconds, too


def asked(engine: ScriptedEngine) -> set[str]:
    texts = [str(request.prompt) for request in engine.requests]
    return {p.id for p in PROBLEMS if any(p.statement in text for text in texts)}


def test_interrupted_problem_reports_what_it_reused(tmp_path: Path) -> None:
    with pytest.raises(EngineError):
        run(plan(), ScriptedEngine(script, die_at=12), tmp_path)
    summary = run(plan(), ScriptedEngine(script), tmp_path)
    assert 0 < summary.tokens.reused <= (summary.tokens.generated or 0)


def test_cancelled_run_keeps_what_was_finished(tmp_path: Path) -> None:
    done: list[int] = []

    async def work() -> None:
        def cancel_after_two(progress: Progress) -> None:
            done.append(progress.done)
            if progress.done >= 2:
                task.cancel()

        engine = ScriptedEngine(script)
        task = asyncio.ensure_future(
            evaluate(plan(), engine, root=tmp_path, on_progress=cancel_after_two)
        )
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.num_running == 0

    asyncio.run(work())
    (folder,) = tmp_path.iterdir()
    assert len(load_run(folder).records) >= 2
    assert load_run(folder).summary is None
    assert run(plan(), ScriptedEngine(script), tmp_path).problems == 6


def test_problems_are_graded_at_the_same_time_and_stored_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    together = threading.Barrier(2, timeout=30)
    met: list[str] = []

    def slow_grade(problem: Problem, answer: Answer) -> Grade:
        if len(met) < 2 and problem.id not in met:
            met.append(problem.id)
            together.wait()
            time.sleep(0.2 if problem.id == met[0] else 0.0)  # the second is graded first
        return grade(problem, answer)

    made = plan("single", grade=slow_grade)
    summary = run(made, ScriptedEngine(script), tmp_path / "slow")
    plain = run(plan("single"), ScriptedEngine(script), tmp_path / "plain")
    stored = load_run(Path(summary.out)).records
    assert [record.id for record in stored] == [
        record.id for record in load_run(Path(plain.out)).records
    ]
    assert list(map(outcome, records(summary))) == list(map(outcome, records(plain)))


def test_presets_share_an_engine(tmp_path: Path) -> None:
    engine = ScriptedEngine(script)

    async def work() -> list[Summary]:
        return await evaluate_all([plan("single"), plan()], engine, root=tmp_path)

    single, voted = asyncio.run(work())
    assert single.out != voted.out
    assert len(engine.requests) == 12
    # Both draw sample 0 with the same seed, so differences between presets are paired.
    firsts = [r.samples[0] for r in records(voted)]
    assert [r.samples[0] for r in records(single)] == firsts


def test_reused_run_costs_no_request(tmp_path: Path) -> None:
    first = run(plan(), ScriptedEngine(script), tmp_path)
    engine = ScriptedEngine(script)
    log = Path(first.out) / GENERATIONS
    second = run(plan("self_consistency", "n=4", "order=index"), engine, tmp_path, reuse=[log])
    assert engine.requests == []
    assert second.out != first.out
    assert second.tokens.reused == second.tokens.generated


def test_repeats_draw_other_samples_and_use_the_bootstrap(tmp_path: Path) -> None:
    summary = run(plan("single", repeats=4), ScriptedEngine(script), tmp_path)
    found = records(summary)
    assert len(found) == 24
    assert (summary.problems, summary.repeats) == (6, 4)
    assert len({r.samples[0].tokens for r in found if r.id == "p0"}) > 1
    shares = [sum(r.correct is True for r in found if r.id == p.id) / 4 for p in PROBLEMS]
    assert summary.accuracy == pytest.approx(sum(shares) / 6)
    low, high = summary.interval
    assert min(shares) <= low <= summary.accuracy <= high <= max(shares)


def test_progress_counts_up_to_the_total(tmp_path: Path) -> None:
    seen: list[Progress] = []
    run(plan(), ScriptedEngine(script), tmp_path, on_progress=seen.append)
    assert [p.done for p in seen][-1] == 6
    last = seen[-1]
    assert last.total == 6 and last.seconds_left == 0
    assert last.accuracy is not None and last.interval is not None
    assert last.interval.low <= last.accuracy <= last.interval.high


def test_progress_tells_tokens_before_the_first_problem_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_TICK_SECONDS", 0.005)
    seen: list[Progress] = []
    endless = ScriptedEngine(lambda _: Line("x" * 50, hangs=True), tick_seconds=0.001, die_at=40)
    with pytest.raises(EngineError):
        run(plan(), endless, tmp_path, on_progress=seen.append)
    (told, *_) = [progress for progress in seen if progress.tokens]
    # One token a tick for each of the 4 samples of every problem that has begun.
    assert told.done == 0 and told.tokens % 4 == 0 and told.seconds > 0


def test_repeats_of_a_problem_count_as_one_while_a_run_lasts(tmp_path: Path) -> None:
    seen: list[Progress] = []
    made = plan("single", repeats=4)
    run(made, ScriptedEngine(script), tmp_path, on_progress=seen.append)
    last = seen[-1]
    assert last.done == 24 and last.accuracy is not None
    # Six problems, not 24: as wide as of 6 problems with this share right.
    assert last.interval == pytest.approx(wilson_interval(last.accuracy * 6, 6))


def test_run_budget_holds_over_sessions(tmp_path: Path) -> None:
    budget = Budget(calls=10)
    made = plan(run_budget=budget)  # six problems of four samples
    with pytest.raises(EngineError):
        run(made, ScriptedEngine(script, die_at=9), tmp_path)
    summary = run(made, ScriptedEngine(script), tmp_path)
    found = records(summary)
    assert sum(r.usage.calls for r in found) <= 10
    assert len(found) == 6
    assert any("budget" in r.error for r in found if r.answer is None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": Budget(tokens=8)}, "the budget 8tokens is too small for one sample"),
        (
            {"run_budget": Budget(tokens=8)},
            "enough for 0 of 6 problems",
        ),
        (
            {"run_budget": Budget(tokens=5 * 16 + 15)},
            "enough for 5 of 6 problems",
        ),
        (
            {"run_budget": Budget(calls=11), "repeats": 2},
            "enough for 11 of 12 problems",
        ),
        ({"budget": Budget(usd=1.0)}, "no price"),
    ],
)
def test_budget_that_buys_nothing_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BudgetError, match=message):
        run(plan(**changes), ScriptedEngine(script), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_budget_of_one_short_sample_each_is_enough(tmp_path: Path) -> None:
    summary = run(plan(run_budget=Budget(tokens=6 * 16)), ScriptedEngine(script), tmp_path)
    assert 0 < (summary.tokens.generated or 0) <= 6 * 16


def test_engine_that_lacks_something_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    engine = ScriptedEngine(script, capabilities=Capabilities())
    made = plan("self_consistency", "n=2", "sampling.logprobs=1")
    with pytest.raises((CapabilityError, BudgetError)):
        run(replace(made, budget=Budget(usd=1.0)), engine, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("problems", "message"),
    [((), "no problems"), ((PROBLEMS[0], PROBLEMS[0]), "two problems have the id 'p0'")],
)
def test_problems_that_cannot_be_told_apart_are_refused(
    problems: Sequence[Problem], message: str
) -> None:
    with pytest.raises(ProblemError, match=message):
        plan(problems=tuple(problems))


def test_failed_samples_do_not_end_the_run(tmp_path: Path) -> None:
    def broken(ask: Ask) -> Line:
        return Line("", error="out of luck") if "Say 2" in ask.prompt else script(ask)

    summary = run(plan(), ScriptedEngine(broken), tmp_path)
    (failed,) = [r for r in records(summary) if r.id == "p2"]
    assert (failed.answer, failed.correct, failed.samples) == (None, False, ())
    assert "out of luck" in failed.error
    assert summary.answered == 5
    assert summary.pass_at_k == {}


def test_run_deadline_ends_what_runs_and_starts_nothing_more(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda ask: Line("never", hangs=True))
    made = plan("single", repeats=20, run_budget=Budget(seconds=0.2))
    summary = run(made, engine, tmp_path)
    found = records(summary)
    assert len(found) == 120
    assert all("the deadline of 0.2 s passed" in r.error for r in found)
    assert summary.samples == 0 and summary.seconds < 30


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(None, 64), (Budget(calls=3), 64), (Budget(tokens=100_000), 20), (Budget(tokens=100), 1)],
)
def test_what_is_in_flight_reserves_little_of_the_run_budget(
    budget: Budget | None, expected: int
) -> None:
    made = plan("single", "sampling.max_tokens=500", run_budget=budget)
    assert _max_problems(made, ScriptedEngine(script)) == expected
    several = ScriptedEngine(script, info=replace(INFO, replicas=4))
    limits = budget is not None and budget.tokens is not None
    assert _max_problems(made, several) == (expected if limits else 4 * expected)


def test_what_was_in_flight_at_a_kill_counts_against_the_runs_budget(tmp_path: Path) -> None:
    """24 samples of at most 100 tokens; 12 of them were asked for when the process was killed."""
    made = plan(
        "self_consistency", "n=4", "sampling.max_tokens=100", run_budget=Budget(tokens=2_400)
    )
    whole = run(made, ScriptedEngine(script), tmp_path)
    assert whole.tokens.lost == 0
    folder = Path(whole.out)
    for name in ("problems.jsonl", "summary.json"):
        (folder / name).unlink()
    log = folder / GENERATIONS
    lines = [line for line in log.read_bytes().splitlines(True) if b'"kind":"sent"' in line]
    log.write_bytes(b"".join(lines[:3]))  # three problems of four samples, none of which came
    engine = ScriptedEngine(script)
    again = run(made, engine, tmp_path)
    assert again.tokens.lost == 1_200
    assert (again.tokens.generated or 0) + 1_200 <= 2_400
    assert load_run(folder).lost_tokens == 1_200
    (note,) = notes([again])
    assert "stopped with calls in flight; they count as up to 1,200 tokens more" in note
