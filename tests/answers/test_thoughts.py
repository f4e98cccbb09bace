"""Where a thought ends, in the marks of published models."""

import pytest

from tts import prompts
from tts.answers.groups import extract_answer
from tts.answers.thought_marks import KNOWN, Marks
from tts.answers.thoughts import after_thought, solution_of

SAID = "The answer is 2."
THOUGHT = "perhaps \\boxed{1}"
FORMATS = {
    "DeepSeek, Qwen": "<think>{thought}</think>{said}",
    "the mark stands in the prompt": "{thought}\n</think>\n\n{said}",
    "Claude-like": "<thinking>{thought}</thinking>{said}",
    "thought": "<thought>{thought}</thought>{said}",
    "reasoning": "<reasoning>\n{thought}\n</reasoning>\n{said}",
    "Seed-OSS": "<seed:think>{thought}</seed:think>{said}",
    "MiniMax": "<mm:think>{thought}</mm:think>{said}",
    "Magistral": "[THINK]{thought}[/THINK]{said}",
    "Kimi-VL": "◁think▷{thought}◁/think▷{said}",
    "Command A": "<|START_THINKING|>{thought}<|END_THINKING|><|START_RESPONSE|>{said}"
    "<|END_RESPONSE|>",
    "OpenThinker": "<|begin_of_thought|>{thought}<|end_of_thought|>\n\n<|begin_of_solution|>{said}"
    "<|end_of_solution|>",
    "Gemma 4": "<|channel>thought\n{thought}<channel|>{said}<turn|>",
    "gpt-oss": "<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant<|channel|>final"
    "<|message|>{said}<|return|>",
    "gpt-oss without its special tokens": "analysisWe say {thought}assistantfinal{said}",
    "Granite 3.2": "Here is my thought process:\n{thought}\nHere is my response:\n{said}",
    "Apriel": "Here are my reasoning steps:\n{thought}\n[BEGIN FINAL RESPONSE]\n{said}",
    "Apertus": "<|inner_prefix|>{thought}<|inner_suffix|>{said}",
    "two thoughts": "<think>{thought}</think>no<think>{thought}</think>{said}",
}


@pytest.mark.parametrize("marks", KNOWN)
def test_the_marks_that_templates_are_searched_for_are_found_in_texts(marks: Marks) -> None:
    text = f"{marks.opening}{THOUGHT}{marks.closing}{SAID}"
    assert after_thought(text) == solution_of(text) == SAID
    if marks.opening:
        assert solution_of(f"{marks.opening}{THOUGHT}") == ""


@pytest.mark.parametrize("name", FORMATS)
def test_what_follows_the_thought_is_the_solution(name: str) -> None:
    text = FORMATS[name].format(thought=THOUGHT, said=SAID)
    assert after_thought(text) == solution_of(text) == SAID
    assert prompts.without_thought(text) == SAID
    assert extract_answer(text, "math") == "2"
    assert extract_answer(text, "free") == SAID


@pytest.mark.parametrize(
    "text",
    [
        "<think>never ends",
        "[THINK]never ends",
        "◁think▷never ends",
        "<|channel|>analysis<|message|>never ends",
        "analysisNever ends",
        "<think>a</think>b<think>never ends",
    ],
)
def test_within_a_thought_there_is_no_solution(text: str) -> None:
    assert solution_of(text) == ""
    assert extract_answer(text, "free") is None


def test_a_text_without_thought_is_all_solution() -> None:
    text = "An analysis of [1] and <b>2</b>, 3 < 4."
    assert after_thought(text) == solution_of(text) == text
