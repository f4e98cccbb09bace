"""The shipped models in vLLM; each in a process of its own, as one engine ends another."""

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.timeout(300)]

GENERATE = """
import json
from tts.bundled.sampling import Sampler, prepare
prepare()
from itertools import islice
from tts import bundled, prompts
from tts.bundled.evaluate import is_right
from tts.tasks import chain
from tts.types import Problem
problems = [p for p in islice(chain.problems("test"), 40) if p.metadata["level"] <= 2]
right = {p.id: p.metadata["solution"] for p in problems}
odd = [Problem("a", "\\u4f60\\u597d"), Problem("b", "Write a poem."), Problem("c", "<|im_end|>")]
sampler = Sampler(bundled.resolve("bundled:NAME"), max_tokens=256)
def ask(asked):
    return [row[0].text for row in sampler.sample(asked, n=1, temperature=0.0)]
solved = ask([prompts.solve(p) for p in problems])
print(json.dumps({
    "right": [is_right(p, text) for p, text in zip(problems, solved)],
    "steps": [text.count("\\n\\n") for text in solved],
    "verdicts": [prompts.parse_verdict(t) for t in
                 ask([prompts.verify(p, right[p.id]) for p in problems])],
    "direct": ask([prompts.solve_without_thinking(p) for p in problems]),
    "odd": ask([prompts.solve(p) for p in odd]),
}))
"""
SCORE = """
import json
from tts.bundled.sampling import Scorer, prepare
prepare()
from itertools import islice
from tts import bundled, prompts
from tts.tasks import chain
from tts.tasks.splits import split_steps
problems = [p for p in islice(chain.problems("test"), 40) if p.metadata["level"] <= 2]
steps = [split_steps(p.metadata["solution"]) for p in problems]
wrong = [[s[0] + "9", *s[1:]] for s in steps]
scorer = Scorer(bundled.resolve("bundled:prm"))
def score(rows):
    return scorer.score([prompts.reward(p, row) for p, row in zip(problems, rows)])
print(json.dumps({"steps": [len(s) for s in steps], "right": score(steps), "wrong": score(wrong)}))
"""


def run(code: str) -> Any:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_policy_solves_verifies_and_answers_in_its_formats() -> None:
    found = run(GENERATE.replace("NAME", "reasoner"))
    assert sum(found["right"]) >= 12  # of 16 of the two easiest levels
    assert all(count >= 2 for count in found["steps"])
    assert None not in found["verdicts"]
    assert all(text.startswith("\\boxed{") for text in found["direct"])
    assert len(found["odd"]) == 3  # poor text, no crash


def test_draft_model_speaks_the_same_format() -> None:
    found = run(GENERATE.replace("NAME", "draft"))
    assert sum(count >= 2 for count in found["steps"]) >= 12


def test_reward_model_scores_each_step_and_sees_gross_errors() -> None:
    found = run(SCORE)
    assert [len(row) for row in found["right"]] == found["steps"]
    assert all(0 <= s <= 1 for row in found["right"] + found["wrong"] for s in row)
    caught = [w[0] < r[0] for r, w in zip(found["right"], found["wrong"], strict=True)]
    assert sum(caught) >= 12  # of 16, a digit appended to the first result
