"""An outage is no mistake of the model: what lacks samples for it is unfinished and tried again."""

import json
from pathlib import Path

import pytest

from tests.evals.test_runner import PROBLEMS, plan, records, run, script
from tts.console.tables import notes
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import OutageError
from tts.evals.stored_run import load_run


class Server(ScriptedEngine):
    """Answers so many samples, and then no more.

    Args:
        answers: How many.
        is_unanswered: Whether the others fail for want of an answer, and not by refusal.
    """

    def __init__(self, answers: int, *, is_unanswered: bool = True) -> None:
        super().__init__(self.say)
        self.left = answers
        self.is_unanswered = is_unanswered

    def say(self, ask: Ask) -> Line:
        self.left -= 1
        if self.left >= 0:
            return script(ask)
        return Line("", error="503: no capacity", is_unanswered=self.is_unanswered)


@pytest.mark.parametrize("answers", [4, 10, 23])
def test_problems_without_all_samples_are_tried_again(tmp_path: Path, answers: int) -> None:
    whole = run(plan(), ScriptedEngine(script), tmp_path / "whole")
    cut = run(plan(), Server(answers), tmp_path)
    assert cut.done == answers // 4 and not cut.is_finished  # four samples make a problem
    assert len(cut.unanswered) == 6 - cut.done
    assert {*cut.unanswered, *(r.id for r in records(cut))} == {p.id for p in PROBLEMS}
    assert load_run(Path(cut.out)).summary is None
    assert any(f"{6 - cut.done} problems lack samples" in note for note in notes([cut]))
    again = ScriptedEngine(script)
    summary = run(plan(), again, tmp_path)
    assert sum(request.n for request in again.requests) == 24 - answers, "what came is kept"
    assert summary.is_finished and summary.unanswered == ()
    assert [r.answer for r in records(summary)] == [r.answer for r in records(whole)]
    assert (summary.accuracy, summary.samples) == (whole.accuracy, whole.samples)


def test_where_nothing_came_there_are_no_figures(tmp_path: Path) -> None:
    with pytest.raises(OutageError, match=r"6 problems lack samples .*503: no capacity"):
        run(plan(), Server(0), tmp_path)
    assert run(plan(), ScriptedEngine(script), tmp_path).is_finished


def test_refused_samples_are_counted_as_a_short_vote(tmp_path: Path) -> None:
    summary = run(plan(), Server(22, is_unanswered=False), tmp_path)
    assert summary.is_finished and summary.unanswered == ()
    assert (summary.samples, summary.short) == (22, 1)
    (note,) = notes([summary])
    assert "1 of 6 finished problems have fewer samples than were asked for" in note
    lines = (Path(summary.out) / "problems.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["facts"]["failed"] for line in lines) == [0, 0, 0, 0, 0, 2]
