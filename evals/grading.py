"""An answer against a problem's reference."""

from tts.answers.groups import AnswerChecker, Patience
from tts.errors import ProblemError
from tts.tasks import countdown
from tts.types import Answer, Grade, Problem


def grade(
    problem: Problem,
    answer: Answer | None,
    checker: AnswerChecker,
    *,
    patience: Patience | None = None,
) -> Grade:
    """Grade an answer; blocks up to the checker's time limit.

    A missing answer is wrong. Without a reference nobody can tell: `correct` is None, with the
    reason; so it is for "free" answers, which are judged and not compared. A comparison that was
    given up for want of time is wrong, and its reason says so.

    Args:
        problem: A "countdown" problem is graded by calculating, whatever its reference says.
        answer: The final answer; its text is compared.
        checker: Compares, and bounds the time.
        patience: What comparisons with the problem's reference may waste; None for no limit.
    """
    settled = _settle(problem, answer)
    if isinstance(settled, Grade):
        return settled
    equal = checker.are_equal(*settled, problem.answer_type, patience=patience)
    return _grade_of(equal, checker.gave_up(*settled, problem.answer_type))


def _settle(problem: Problem, answer: Answer | None) -> Grade | tuple[str, str]:
    """Return the grade where no comparison is needed, else reference and answer."""
    if problem.answer_type == "code":
        return Grade(None, "code is graded by running it, which this benchmark does not do")
    if problem.answer_type == "free":
        return Grade(None, "a free answer is judged, not compared with a reference")
    if problem.answer_type == "countdown":
        return _grade_countdown(problem, answer)
    if problem.reference is None or not problem.reference.strip():
        return Grade(None, "the problem has no reference answer")
    if answer is None:
        return Grade(False, "no answer")
    return problem.reference, answer.text


def _grade_countdown(problem: Problem, answer: Answer | None) -> Grade:
    try:
        countdown.puzzle_of(problem)
    except ProblemError as error:
        return Grade(None, str(error))
    if answer is None:
        return Grade(False, "no answer")
    return Grade(countdown.check_answer(problem, answer.text))


def _grade_of(equal: bool, gave_up: bool) -> Grade:
    return Grade(equal, "comparing with the reference took too long" if gave_up else "")
