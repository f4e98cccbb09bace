r"""What the framework asks of a model, in English; small and large models get the same prompts.

Solutions have a blank line between steps and end in `\boxed{...}`. Assistant prefills switch the
thinking of models that know `<think>`.
"""

import re
from collections.abc import Sequence

from tts.types import Message, Problem, Prompt

SOLVE = "Reason step by step, with a blank line between steps. Put the final answer in \\boxed{}."
REVISE = "Check this attempt and write a corrected solution. Put the final answer in \\boxed{}."
VERIFY = 'Check each step. End with the line "Verdict: correct" or "Verdict: incorrect".'
CHOOSE = "Choose the best of these attempts, or merge them. Put the final answer in \\boxed{}."
STEP_TAG = "<extra_0>"  # stands after each step in what a process reward model reads
NO_THINKING = "<think>\n\n</think>\n\n"
THINKING = "<think>\n"
_VERDICT = re.compile(r"verdict:\W*(correct|incorrect)\b", re.IGNORECASE)


def solve(problem: Problem) -> Prompt:
    """Ask for a step-by-step solution."""
    return _ask(problem, SOLVE)


def solve_thinking(problem: Problem) -> Prompt:
    """Ask for a solution with a long, self-checking thought before it."""
    return _ask(problem, SOLVE, THINKING)


def solve_without_thinking(problem: Problem) -> Prompt:
    """Ask for the answer with an empty thought before it."""
    return _ask(problem, SOLVE, NO_THINKING)


def revise(problem: Problem, attempt: str) -> Prompt:
    """Ask to mend an attempt, which may be right."""
    return _ask(problem, f"Attempt:\n{attempt.strip()}\n\n{REVISE}")


def verify(problem: Problem, attempt: str) -> Prompt:
    """Ask for a check of each step and a verdict."""
    return _ask(problem, f"Attempt:\n{attempt.strip()}\n\n{VERIFY}")


def choose(problem: Problem, attempts: Sequence[str]) -> Prompt:
    """Ask for the best of several attempts, numbered from 1."""
    shown = [f"Attempt {i}:\n{text.strip()}" for i, text in enumerate(attempts, start=1)]
    return _ask(problem, "\n\n".join([*shown, CHOOSE]))


def reward(problem: Problem, steps: Sequence[str]) -> Prompt:
    """Return what a process reward model reads: the bare problem, and each step with its tag."""
    text = "".join(step.strip() + STEP_TAG for step in steps)
    messages = problem.messages or (Message("user", problem.statement),)
    return Prompt(messages=messages, prefill=text)


def parse_verdict(text: str) -> bool | None:
    """Return the last verdict of a check; None if there is none."""
    found = _VERDICT.findall(text)
    return found[-1].lower() == "correct" if found else None


def _ask(problem: Problem, text: str, prefill: str = "") -> Prompt:
    """Put the problem first, so that all requests about it share a prefix."""
    if problem.messages:
        *before, last = problem.messages
        messages = (*before, Message(last.role, f"{last.content}\n\n{text}"))
    else:
        messages = (Message("user", f"{problem.statement}\n\n{text}"),)
    return Prompt(messages=messages, prefill=prefill)
