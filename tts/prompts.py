r"""What the framework asks of a model, in English; small and large models get the same prompts.

Solutions have a blank line between steps; how the answer is written depends on its type: a box, a
box with a letter, one fenced block of code, or nothing that is asked for. A prompt says whether a
thought is opened or skipped, and the engine how its model does that. What a problem's `prompt`
options say (a preset's `prompt:` block) goes into every prompt but a reward model's: a system
message and examples before it (but where a prompt brings an example of its own form), another
instruction for solutions, other words on how an answer is written, another template.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from tts.answers.thoughts import after_thought, solution_of
from tts.languages import is_in_english
from tts.types import AnswerType, Message, Problem, Prompt, PromptExample, PromptOptions
from tts.types.thought import Thought

_BOXED = "Put the final answer in \\boxed{}."
_ANSWER_BY_TYPE: dict[AnswerType, str] = {
    "math": _BOXED,
    "integer": _BOXED,
    "countdown": _BOXED,
    "grid": _BOXED,
    "choice": "Put the letter of the final answer in \\boxed{}.",
    "code": "Put the whole program in one ```python block.",
    "free": "",
    "exact": "",
}
_TASK_BY_TYPE: dict[AnswerType, str] = {
    "code": "Write a program that runs as it stands.",
    "free": "",
    "exact": "",
}
_SOLVE = "Reason step by step, with a blank line between steps."
_REVISE = "Check this attempt and write a corrected solution."
VERIFY = 'Check each step. End with the line "Verdict: correct" or "Verdict: incorrect".'
WRONG = "This attempt is wrong."  # all that a verifier's verdict tells
CHECKLIST = (
    "List what a right solution needs and check each attempt against the list. "
    'End with the line "Best: N", N the number of the best attempt.'
)
_CHOOSE = "Choose the best of these attempts, or merge them."
STEP_TAG = "<extra_0>"  # stands after each step in what a process reward model reads
THINKING = Thought("open")
NO_THINKING = Thought("skipped")
_PLAIN = PromptOptions()
_PLACES = re.compile(r"(\{problem\}|\{instruction\})")
_BEST = re.compile(r"best:\W*(?:attempt\W*)?(\d+)", re.IGNORECASE)
_RANKING = re.compile(r"best:([^\n]*\d[^\n]*)", re.IGNORECASE)
_GRADE = re.compile(r"^\W*grade:\W*(\d+(?:\.\d+)?)", re.IGNORECASE | re.MULTILINE)
_NOTHING = re.compile(r"\W*none\W*", re.IGNORECASE)
_VERDICT = re.compile(r"verdict:\W*(correct|incorrect)\b", re.IGNORECASE)


def solve(problem: Problem) -> Prompt:
    """Ask for a step-by-step solution."""
    return _ask(problem, _instruction(problem))


def solve_thinking(problem: Problem) -> Prompt:
    """Ask for a solution with a long, self-checking thought before it."""
    return _ask(problem, _instruction(problem), THINKING)


def solve_without_thinking(problem: Problem) -> Prompt:
    """Ask for the answer with an empty thought before it."""
    return _ask(problem, _instruction(problem), NO_THINKING)


def solve_in_another_language(problem: Problem) -> Prompt:
    """Ask for a solution in Chinese, or in English if the problem is not in English.

    The problem's language is `language` or `lang` of its metadata ("de", "pt-BR", "English"), else
    it is told by script and by frequent words.
    """
    named = problem.metadata.get("language") or problem.metadata.get("lang")
    is_english = str(named).lower().startswith("en") if named else is_in_english(words_of(problem))
    language = "Chinese" if is_english else "English"
    return _ask(problem, f"{_instruction(problem)} Write in {language}.".lstrip())


def revise(problem: Problem, attempt: str) -> Prompt:
    """Ask to mend an attempt, which may be right."""
    return _ask(problem, f"Attempt:\n{attempt.strip()}\n\n{answered(problem, _REVISE)}")


def verify(problem: Problem, attempt: str) -> Prompt:
    """Ask for a check of each step and a verdict."""
    return _ask(problem, f"Attempt:\n{attempt.strip()}\n\n{VERIFY}")


def choose(problem: Problem, attempts: Sequence[str]) -> Prompt:
    """Ask for the best of several attempts, numbered from 1."""
    return _ask(problem, f"{_numbered(attempts)}\n\n{answered(problem, _CHOOSE)}")


def choose_by_checklist(problem: Problem, attempts: Sequence[str]) -> Prompt:
    """Ask for a list of criteria and for the number of the attempt that meets them best."""
    return _ask(problem, f"{_numbered(attempts)}\n\n{CHECKLIST}")


def reward(problem: Problem, steps: Sequence[str]) -> Prompt:
    """Return what a process reward model reads: the bare problem, and each step with its tag."""
    text = "".join(step.strip() + STEP_TAG for step in steps)
    messages = problem.messages or (Message("user", problem.statement),)
    return Prompt(messages=messages, prefill=text)


def parse_verdict(text: str) -> bool | None:
    """Return the last verdict of a check; None if there is none."""
    found = _VERDICT.findall(text)
    return found[-1].lower() == "correct" if found else None


def parse_best(text: str) -> int | None:
    """Return the last number that a choice names as the best; None if there is none."""
    found = _BEST.findall(text)
    return int(found[-1]) if found else None


def parse_ranking(text: str) -> list[int]:
    """Return the numbers that the last line of grades names as the best, each once, in order."""
    found = _RANKING.findall(text)
    return list(dict.fromkeys(map(int, re.findall(r"\d+", found[-1])))) if found else []


def parse_grade(text: str) -> tuple[float | None, str]:
    """Return the last grade of a criticism, from 0 to 1, and the words before it.

    The grade is None where there is none from 0 to 10; then all words are returned.
    """
    found = list(_GRADE.finditer(text))
    if not found or float(found[-1][1]) > 10:
        return None, text.strip()
    return float(found[-1][1]) / 10, text[: found[-1].start()].strip()


def _ask(problem: Problem, text: str, thought: Thought | None = None) -> Prompt:
    """Put the problem first, so that all requests about it share a prefix."""
    options = problem.prompt or _PLAIN
    *before, last = problem.messages or (Message("user", problem.statement),)
    notes = f"{options.notes}\n\n" if options.notes else ""
    if problem.is_raw:
        return Prompt(text=notes + _fill(options.template, problem.statement, text))
    own = replace(last, content=notes + _fill(options.template, last.content, text))
    messages = (*_opening(problem, options, before), *before, own)
    return Prompt(messages=messages, thought=thought)


def _instruction(problem: Problem) -> str:
    given = None if problem.prompt is None else problem.prompt.instruction
    if given is not None:
        return given
    return answered(problem, _TASK_BY_TYPE.get(problem.answer_type, _SOLVE))


def answered(problem: Problem, task: str) -> str:
    """Return a task with what is to be said of the answer's form."""
    given = None if problem.prompt is None else problem.prompt.answer
    form = _ANSWER_BY_TYPE[problem.answer_type] if given is None else given
    return f"{task} {form}".strip()


def _opening(
    problem: Problem, options: PromptOptions, before: list[Message]
) -> tuple[Message, ...]:
    """Return system message and examples; a chat's own system message takes the place of ours."""
    system: list[Message] = []
    if before and before[0].role == "system":
        system = [before.pop(0)]
    elif options.system:
        system = [Message("system", options.system)]
    shown = [
        message
        for example in options.examples
        for message in (
            Message("user", _fill(options.template, example.problem, _instruction(problem))),
            Message("assistant", example.answer),
        )
    ]
    return (*system, *shown)


def _fill(template: str, problem: str, instruction: str) -> str:
    # Split and not replaced in turn: the problem may hold braces, or "{instruction}" itself.
    parts = {"{problem}": problem, "{instruction}": instruction}
    # Where nothing is asked beside the problem, the template alone loses what is around it.
    shown = template if instruction else template.replace("{instruction}", "").rstrip()
    return "".join(parts.get(part, part) for part in _PLACES.split(shown))


# What follows serves large models; the bundled one knows only the prompts above.

_REVISE_LAST = (
    "Each attempt revises the one before it. Check the last one against the others and write a "
    "corrected solution."
)
_FUSE = (
    "These attempts were made independently. Combine what is right in them, decide where they "
    "disagree, and write one solution."
)
_IMPROVE = (
    "None of these attempts is good enough. Write one that is better than all of them; do not copy."
)
SUMMARISE = (
    "Write short notes for a next attempt: where these attempts agree, where they disagree and "
    "which side is right, results that are certain, what is still open."
)
GRADE = (
    "These attempts were made independently. Check each and grade it from 0 to 10 by how far it "
    'can be trusted. End with the line "Best: N, N, ...", the numbers of the best {count} '
    "attempts, the best first."
)
CRITICISE = (
    "Do not solve it yourself. Say in a few sentences what is strong in this attempt and what is "
    'weak or wrong. End with the line "Grade: N", N from 0 to 10.'
)
SELECT_MODULES = "Name the ways of reasoning, of those listed, that help with this problem."
ADAPT_MODULES = "Rephrase each chosen way of reasoning so that it fits this problem. Do not solve."
WRITE_PLAN = "Write a step-by-step plan for solving the problem in this way. Do not solve it yet."
WRITE_STRUCTURE = (
    "Write a plan for solving the problem in this way, as a JSON object whose keys are the steps, "
    "in order, and whose values are empty strings. Do not solve it yet."
)
DECOMPOSE = (
    "Split the problem into sub-problems that can be solved independently, as a numbered list, "
    "one on each line, each complete in itself. Do not solve them."
)
RECALL = (
    "Do not go on. State in one sentence a fact that is not said above and helps with the next "
    'step, or reply "none".'
)
STATES_ANSWER = (
    "Does this part of a train of thought arrive at an answer to the problem? Reply yes or no."
)
SAME_ANSWER = (
    "Do these two parts of a train of thought arrive at the same answer to the problem? Reply yes "
    "or no."
)
WRITE_TESTS = (
    "Do not solve it yet. Write {count} short tests that any right solution passes, one `assert` "
    "a line, each with literal arguments and the literal result."
)
TELL_APART = (
    "The attempts above differ. Write one `assert` in a ```python block that right solutions pass "
    'and wrong ones fail; or, if you know which attempt is right, end with the line "Best: N".'
)
ONE_OF_TWO = 'Give either one test in a ```python block or the line "Best: N", and not both.'
_BY_PROGRAM = (
    "Write a Python program that computes the answer and prints it, and prints nothing else. "
    "Put the whole program in one ```python block."
)
HINTS = "What helped with other problems, as suggestions only; some may not fit what follows."
SELECT_CONCEPTS = (
    "Which of the ideas listed above would help with this problem? Look first for what the problem "
    "visibly has. Do not solve it. Reply with the names of at most {count} of them, one on each "
    'line, or reply "none".'
)
WRITE_CONCEPTS = (
    "This solution is right. Write down what it teaches about other problems, not this one: one to "
    "three ideas, without this problem's numbers. Use the name of a known idea where it is one. "
    "Reply with a YAML list in a ```yaml block; each entry has `name`, `kind` (structure or "
    "routine), `description`, `parameters` (a list such as `n: int`), `cues` (a list: how to see "
    "that it helps) and `notes` (a list: how to use it)."
)
PROBE = "\n\nThe answer to the whole problem is \\boxed{"
MODULES = (
    "Simplify: solve an easier version first.",
    "Decompose: split the problem into parts and solve each.",
    "Step by step: derive each result from the one before.",
    "Work backwards: start from what is asked.",
    "Assumptions: list what is given and what is only assumed.",
    "Constraints: find what limits the solution and use it.",
    "Cases: distinguish cases and treat each.",
    "Analogy: recall a similar problem and how it was solved.",
    "Notation: introduce symbols, tables or a drawing in words.",
    "Invariants: look for what does not change.",
    "Alternatives: try several approaches and compare them.",
    "Estimate: bound the result before computing it.",
    "Experiment: try small instances and look for a pattern.",
    "Critical thinking: question each claim and its evidence.",
    "Systems thinking: see how the parts depend on each other.",
    "Data: decide which of the given facts matter.",
    "Check: test the result by another route.",
)


def without_thought(text: str) -> str:
    """Return what follows the thought of a text, or all of a text that has none."""
    return after_thought(text)


def solution_part(text: str) -> str:
    """Return the solution without the thought before it; all of a text that ends in its thought."""
    return without_thought(text) or text


def revise_last(problem: Problem, attempts: Sequence[str]) -> Prompt:
    """Ask to mend the last of several attempts, each a revision of the one before."""
    if len(attempts) == 1:
        return revise(problem, attempts[0])
    return _ask(problem, f"{_numbered(attempts)}\n\n{answered(problem, _REVISE_LAST)}")


def revise_checked(problem: Problem, checked: Sequence[tuple[str, str]]) -> Prompt:
    """Ask to mend the last of several attempts, each a revision of the one before, and its check.

    Args:
        problem: What is to be solved.
        checked: Attempts with their checks.
    """
    numbers = [f" {i}" for i in range(1, len(checked) + 1)] if len(checked) > 1 else [""]
    shown = [
        f"Attempt{number}:\n{attempt.strip()}\n\nCheck{number}:\n{check.strip()}"
        for number, (attempt, check) in zip(numbers, checked, strict=True)
    ]
    asked = answered(problem, _REVISE if len(checked) == 1 else _REVISE_LAST)
    return _ask(problem, "\n\n".join([*shown, asked]))


def fuse(problem: Problem, attempts: Sequence[str]) -> Prompt:
    """Ask for one solution out of several independent attempts."""
    return _ask(problem, f"{_numbered(attempts)}\n\n{answered(problem, _FUSE)}")


def criticise(problem: Problem, attempt: str) -> Prompt:
    """Ask what is strong and what is weak in an attempt, and for a grade."""
    return _ask(problem, f"Attempt:\n{attempt.strip()}\n\n{CRITICISE}")


def criticised(attempt: str, criticism: str) -> str:
    """Return how an attempt is shown with what a critic said of it, which may be nothing."""
    return f"{attempt.strip()}\n\nCriticism:\n{criticism.strip()}" if criticism else attempt


def improve(problem: Problem, attempts: Sequence[str]) -> Prompt:
    """Ask for an attempt that is better than those shown, each with what was said of it."""
    return _ask(problem, f"{_numbered(attempts)}\n\n{answered(problem, _IMPROVE)}")


def grade(problem: Problem, attempts: Sequence[str], count: int) -> Prompt:
    """Ask for grades of several independent attempts, and for the numbers of the best ones."""
    return _ask(problem, f"{_numbered(attempts)}\n\n{GRADE.format(count=count)}")


def summarise(problem: Problem, attempts: Sequence[str]) -> Prompt:
    """Ask for notes on several independent attempts."""
    return _ask(problem, f"{_numbered(attempts)}\n\n{SUMMARISE}")


def follow(problem: Problem, notes: str) -> Prompt:
    """Ask for a solution that uses notes or a plan."""
    use = f"Use the notes where they are right. {_instruction(problem)}".rstrip()
    return _ask(problem, f"Notes:\n{notes.strip()}\n\n{use}")


def plan(
    problem: Problem,
    task: str,
    notes: str,
    example: PromptExample | None = None,
    *,
    again: str = "",
) -> Prompt:
    """Ask for notes on the problem, given earlier ones, if any.

    Args:
        problem: What they are on.
        task: What is asked.
        notes: Earlier ones.
        example: A problem and what is to be written for it. It is a turn of its own, in place of
            the preset's examples, which show solutions: a small model takes what stands behind its
            problem for a part of the problem.
        again: What is asked in the problem's own turn, where the example's turn, which all problems
            share, has said the whole task; the task itself if empty.
    """
    if example is not None and problem.is_raw:
        task = (
            f"{task}\nFor example, for this problem:\n{example.problem}\nwrite:\n{example.answer}"
        )
    elif example is not None:
        options = replace(problem.prompt or _PLAIN, instruction=task, examples=(example,))
        problem, task = replace(problem, prompt=options), again or task
    return _ask(problem, "\n\n".join(part for part in (notes.strip(), task) if part))


def part(problem: Problem, item: str) -> str:
    """Return the statement of a sub-problem that is to be solved with the whole problem in view."""
    return f"{words_of(problem)}\n\nSolve this part of the problem, and no other: {item}"


def words_of(problem: Problem) -> str:
    """Return what is asked: the statement, or the last message of a chat."""
    return problem.messages[-1].content if problem.messages else problem.statement


def states_answer(problem: Problem, part: str) -> Prompt:
    """Ask, to be answered by yes or no, whether a part of a thought has an answer."""
    return _ask(problem, f"Part:\n{part.strip()}\n\n{STATES_ANSWER}")


def solve_by_program(problem: Problem) -> Prompt:
    """Ask for a program that prints the answer."""
    return _ask(problem, _BY_PROGRAM)


def write_tests(problem: Problem, count: int, function: str = "") -> Prompt:
    """Ask for tests of a solution, one `assert` a line; the first is begun.

    Args:
        problem: Of answer type "code".
        count: Tests that are asked for.
        function: That is tested; empty where nobody knows.
    """
    begun = f"```python\nassert {function}(" if function else "```python\nassert "
    return replace(_ask(problem, WRITE_TESTS.format(count=count)), prefill=begun)


def tell_apart(problem: Problem, attempts: Sequence[str], rounds: Sequence[str]) -> Prompt:
    """Ask for a test on which attempts differ, or for the best of them.

    Args:
        problem: Of answer type "code".
        attempts: Numbered from 1.
        rounds: Earlier tests with what each attempt did, oldest first.
    """
    return _ask(problem, "\n\n".join([_numbered(attempts), *rounds, TELL_APART]))


def same_answer(problem: Problem, part: str, other: str) -> Prompt:
    """Ask, to be answered by yes or no, whether two parts of a thought have the same answer."""
    shown = f"First part:\n{part.strip()}\n\nSecond part:\n{other.strip()}"
    return _ask(problem, f"{shown}\n\n{SAME_ANSWER}")


def recall(problem: Problem, steps: Sequence[str], recalled: Sequence[str]) -> Prompt:
    """Ask for knowledge that complements a solution's steps and what was recalled for them."""
    known = "".join(map(note, recalled))
    return _ask(problem, "\n\n".join(["Solution so far:", *steps, f"{known}{RECALL}"]))


def select_concepts(problem: Problem, known: Sequence[str], count: int) -> Prompt:
    """Ask which of the known ideas, each named in a line, help with a problem."""
    listed = "\n".join(known)
    return _ask(problem, f"Ideas:\n{listed}\n\n{SELECT_CONCEPTS.format(count=count)}")


def write_concepts(problem: Problem, solution: str, known: Sequence[str]) -> Prompt:
    """Ask what a right solution teaches about other problems, given the names of known ideas."""
    names = "Known ideas: " + ", ".join(known) + "\n\n" if known else ""
    return _ask(problem, f"Solution:\n{solution.strip()}\n\n{names}{WRITE_CONCEPTS}")


def parse_recalled(text: str) -> str:
    """Return what an answer recalls; empty if that is nothing, or its thought has no end."""
    said = solution_of(text)
    return "" if _NOTHING.fullmatch(said) else said


def note(recalled: str) -> str:
    """Return how knowledge stands among the steps of a solution: as a paragraph of its own."""
    return f"Note: {recalled}\n\n"


def _numbered(attempts: Sequence[str]) -> str:
    shown = enumerate(attempts, start=1)
    return "\n\n".join(f"Attempt {i}:\n{text.strip()}" for i, text in shown)
