"""What a preset's `prompt:` block says goes into every prompt; without one, prompts stay as is."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.results import prompts_of
from tts import prompts
from tts.engine.pools import load_pool
from tts.engine.replay import ReplayEngine
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import CapabilityError, PresetError
from tts.operators import follow, map_parts, plan, sample, vote
from tts.presets.load import load_preset
from tts.session.runtime import Runtime
from tts.types import AnswerType, Message, Problem, Prompt, PromptExample, PromptOptions

SOLVE = "Reason step by step, with a blank line between steps. Put the final answer in \\boxed{}."
SUM = Problem("p", "What is 1 + 1?")
BLOCK = r"""
strategy: self_consistency
parameters: {n: 2}
prompt:
  system: Be brief.
  instruction: End with the answer in \boxed{}.
  examples:
    - {problem: "What is 2 + 2?", answer: '\boxed{4}'}
  template: "Q: {problem} {instruction}\nA:"
sampling:
  chat_template_kwargs: {enable_thinking: false}
  extra_body: {repetition_penalty: 1.1}
"""


def turns(prompt: Prompt) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in prompt.messages]


def asked(**options: Any) -> Problem:
    return replace(SUM, prompt=PromptOptions(**options))


def test_without_options_a_prompt_is_what_it_was() -> None:
    expected = [("user", f"What is 1 + 1?\n\n{SOLVE}")]
    assert turns(prompts.solve(SUM)) == turns(prompts.solve(asked())) == expected
    chat = replace(SUM, messages=(Message("system", "s"), Message("user", "hi")))
    assert turns(prompts.solve(chat)) == [("system", "s"), ("user", f"hi\n\n{SOLVE}")]


FORMS: dict[AnswerType, tuple[str, str]] = {
    "math": (SOLVE, "Put the final answer in \\boxed{}."),
    "integer": (SOLVE, "Put the final answer in \\boxed{}."),
    "countdown": (SOLVE, "Put the final answer in \\boxed{}."),
    "grid": (SOLVE, "Put the final answer in \\boxed{}."),
    "choice": (
        SOLVE.replace("the final", "the letter of the final"),
        "Put the letter of the final answer in \\boxed{}.",
    ),
    "code": (
        "Write a program that runs as it stands. Put the whole program in one ```python block.",
        "Put the whole program in one ```python block.",
    ),
    "free": ("", "write one solution."),
}
NEW_SOLUTIONS: list[Callable[[Problem], Prompt]] = [
    lambda problem: prompts.revise(problem, "t"),
    lambda problem: prompts.revise_last(problem, ["t", "u"]),
    lambda problem: prompts.revise_checked(problem, [("t", "c")]),
    lambda problem: prompts.choose(problem, ["t"]),
    lambda problem: prompts.fuse(problem, ["t"]),
]


@pytest.mark.parametrize("answer_type", FORMS)
def test_an_answer_is_asked_for_in_the_form_of_its_type(answer_type: AnswerType) -> None:
    problem = replace(SUM, answer_type=answer_type)
    solved, form = FORMS[answer_type]
    expected = f"What is 1 + 1?\n\n{solved}" if solved else "What is 1 + 1?"
    assert prompts.solve(problem).messages[-1].content == expected
    assert prompts.fuse(problem, ["t"]).messages[-1].content.endswith(form)
    for ask in NEW_SOLUTIONS:
        content = ask(problem).messages[-1].content
        assert ("\\boxed" in content) == ("\\boxed" in form)
        assert ("```python" in content) == ("```python" in form)


@pytest.mark.parametrize("ask", NEW_SOLUTIONS)
def test_a_preset_says_how_answers_are_written(ask: Callable[[Problem], Prompt]) -> None:
    problem = asked(answer="End with #### and the number.")
    assert (
        prompts.solve(problem).messages[-1].content.endswith("steps. End with #### and the number.")
    )
    assert ask(problem).messages[-1].content.endswith(" End with #### and the number.")
    assert "\\boxed" not in ask(asked(answer="")).messages[-1].content


def test_each_option_has_its_place() -> None:
    examples = (PromptExample("What is 2 + 2?", "4"),)
    problem = asked(
        system="Be brief.",
        instruction="Answer.",
        examples=examples,
        template="Q: {problem} {instruction}\nA:",
    )
    assert turns(prompts.solve(problem)) == [
        ("system", "Be brief."),
        ("user", "Q: What is 2 + 2? Answer.\nA:"),
        ("assistant", "4"),
        ("user", "Q: What is 1 + 1? Answer.\nA:"),
    ]


def test_an_example_of_another_form_takes_the_place_of_the_preset_s() -> None:
    shown = PromptExample("What is 3 + 3?", "1. add")
    problem = asked(system="Be brief.", examples=(PromptExample("What is 2 + 2?", "4"),))
    assert turns(prompts.plan(problem, "Plan.", "Notes", shown)) == [
        ("system", "Be brief."),
        ("user", "What is 3 + 3?\n\nPlan."),
        ("assistant", "1. add"),
        ("user", "What is 1 + 1?\n\nNotes\n\nPlan."),
    ]
    raw = prompts.plan(replace(problem, is_raw=True), "Plan.", "", shown).text
    assert raw.startswith("What is 1 + 1?\n\nPlan.") and raw.endswith("write:\n1. add")


def test_an_empty_instruction_leaves_no_trace() -> None:
    assert turns(prompts.solve(asked(instruction=""))) == [("user", "What is 1 + 1?")]
    language = prompts.solve_in_another_language(asked(instruction="")).messages[0].content
    assert language == "What is 1 + 1?\n\nWrite in Chinese."
    followed = prompts.follow(asked(instruction=""), "n").messages[0].content
    assert followed.endswith("Notes:\nn\n\nUse the notes where they are right.")


def test_braces_in_a_problem_stay_what_they_are() -> None:
    odd = replace(SUM, statement="Simplify {instruction} and {problem}.")
    assert prompts.solve(odd).messages[0].content.startswith("Simplify {instruction} and {problem}")


def test_a_chats_own_system_message_goes_before_ours() -> None:
    chat = replace(
        asked(system="ours", examples=(PromptExample("q", "a"),), instruction="i"),
        messages=(Message("system", "theirs"), Message("user", "hi")),
    )
    assert turns(prompts.solve(chat)) == [
        ("system", "theirs"),
        ("user", "q\n\ni"),
        ("assistant", "a"),
        ("user", "hi\n\ni"),
    ]


ASKS: list[Callable[[Problem], Prompt]] = [
    prompts.solve,
    prompts.solve_thinking,
    prompts.solve_without_thinking,
    prompts.solve_in_another_language,
    lambda problem: prompts.revise(problem, "t"),
    lambda problem: prompts.revise_last(problem, ["t", "u"]),
    lambda problem: prompts.revise_checked(problem, [("t", "c")]),
    lambda problem: prompts.revise_checked(problem, [("t", "c"), ("u", "d")]),
    lambda problem: prompts.verify(problem, "t"),
    lambda problem: prompts.choose(problem, ["t"]),
    lambda problem: prompts.choose_by_checklist(problem, ["t"]),
    lambda problem: prompts.criticise(problem, "t"),
    lambda problem: prompts.fuse(problem, ["t"]),
    lambda problem: prompts.summarise(problem, ["t"]),
    lambda problem: prompts.grade(problem, ["t", "u"], 1),
    lambda problem: prompts.states_answer(problem, "t"),
    lambda problem: prompts.same_answer(problem, "t", "u"),
    lambda problem: prompts.follow(problem, "n"),
    lambda problem: prompts.plan(problem, "task", "n"),
    lambda problem: prompts.recall(problem, ["s"], []),
]


@pytest.mark.parametrize("ask", ASKS)
def test_every_prompt_honours_the_options(ask: Callable[[Problem], Prompt]) -> None:
    problem = asked(
        system="Be brief.", examples=(PromptExample("q", "a"),), template="{problem}|{instruction}"
    )
    system, question, answer, own = ask(problem).messages
    assert (system.role, system.content) == ("system", "Be brief.")
    assert question.content == f"q|{SOLVE}" and answer.content == "a"
    assert own.content.startswith("What is 1 + 1?|")


def test_a_reward_model_reads_the_bare_problem() -> None:
    assert prompts.reward(asked(system="s"), ["a"]) == prompts.reward(SUM, ["a"])


def test_a_preset_says_how_its_engine_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(BLOCK)
    engine = ScriptedEngine(lambda ask: Line(r"\boxed{2}"))

    async def run() -> None:
        async with Runtime(engine) as runtime:
            await runtime.run(str(file), "What is 1 + 1?")

    asyncio.run(run())
    assert prompts_of(engine)[0] == (
        "<system>Be brief.\n"
        "<user>Q: What is 2 + 2? End with the answer in \\boxed{}.\nA:\n"
        "<assistant>\\boxed{4}\n"
        "<user>Q: What is 1 + 1? End with the answer in \\boxed{}.\nA:\n"
        "<assistant>"
    )
    sampling = engine.requests[0].sampling
    assert sampling.chat_template_kwargs == {"enable_thinking": False}
    assert sampling.extra_body == {"repetition_penalty": 1.1}


def test_sub_problems_are_asked_like_the_whole() -> None:
    def say(ask: Ask) -> Line:
        return Line("1. One?\n2. Two?" if "sub-problems" in ask.prompt else r"\boxed{1}")

    engine = ScriptedEngine(say)
    parts = plan(ask="decompose") >> map_parts(body=sample(n=1) >> vote()) >> follow()
    decompose = replace(load_preset("single", ["prompt.system=Be brief."]), pipeline=parts)

    async def run() -> None:
        async with Runtime(engine) as runtime:
            await runtime.run(decompose, "What is 1 + 2?")

    asyncio.run(run())
    sent = prompts_of(engine)
    assert any("Two?" in prompt.rpartition("<user>")[2] for prompt in sent)
    assert all(prompt.startswith("<system>Be brief.\n") for prompt in sent)


def test_overrides_are_taken_as_they_are_written() -> None:
    # As YAML, the first would be a mapping and the second a number.
    preset = load_preset("single", ["prompt.instruction=Think. Answer: yes", "prompt.system=1"])
    assert preset.prompt == PromptOptions(system="1", instruction="Think. Answer: yes")
    assert load_preset("single").prompt is None
    assert preset.values["prompt"] == {"instruction": "Think. Answer: yes", "system": "1"}


def test_a_problems_own_options_go_before_the_presets() -> None:
    preset = load_preset("single", ["prompt.system=ours"])
    own = asked(system="theirs")
    assert preset.prompted(own) == own
    assert preset.prompted(SUM).prompt == PromptOptions(system="ours")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("prompt: {sytem: x}", r"mine\.yaml:2: prompt has no 'sytem'; did you mean 'system'"),
        ("prompt:\n  template: 'Q'", r"mine\.yaml:3: prompt: template = 'Q': it holds \{problem\}"),
        ("prompt: {examples: [{problem: x}]}", r"mine\.yaml:2: prompt needs 'examples\.0\.answer'"),
        ("prompt: brief", r"mine\.yaml:2: prompt expects keys and values"),
        ("sampling: {extra_bdoy: {}}", r"mine\.yaml:2: sampling has no 'extra_bdoy'"),
        ("sampling: {chat_template_kwargs: 3}", r"mine\.yaml:2: sampling: chat_template_kwargs"),
    ],
)
def test_what_cannot_be_read_is_named_by_line(tmp_path: Path, block: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"strategy: single\n{block}\n")
    with pytest.raises(PresetError, match=message):
        load_preset(str(file))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("prompt.system=x", "replays recorded samples; leave the prompt block out"),
        ("sampling.extra_body={a: 1}", "leave sampling.chat_template_kwargs and sampling.extra_b"),
        ("sampling.chat_template_kwargs={a: 1}", "replays recorded samples; leave sampling.chat"),
    ],
)
def test_recorded_samples_were_asked_otherwise(tmp_path: Path, change: str, message: str) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text('{"problem_id": "a", "problem": "1 + 1?", "samples": [{"answer": "2"}]}\n')
    engine = ReplayEngine(load_pool(str(pool)))
    (recorded,) = engine.pool.problems

    async def run() -> None:
        async with Runtime(engine) as runtime:
            assert (await runtime.run("single", recorded.problem)).answer is not None
            with pytest.raises(CapabilityError, match=message):
                await runtime.run("single", recorded.problem, overrides=[change])

    asyncio.run(run())


def test_programs_are_asked_for_in_a_block_and_other_answers_in_a_box() -> None:
    code, other = Problem("c", "Square.", answer_type="code"), Problem("m", "Square 3.")
    for ask in (
        prompts.solve,
        lambda p: prompts.revise(p, "a"),
        lambda p: prompts.revise_last(p, ["a", "b"]),
        lambda p: prompts.choose(p, ["a"]),
        lambda p: prompts.fuse(p, ["a"]),
        lambda p: prompts.follow(p, "n"),
    ):
        assert ask(code).messages[-1].content.endswith("in one ```python block.")
        assert ask(other).messages[-1].content.endswith("Put the final answer in \\boxed{}.")


def test_a_preset_s_instruction_stands_for_programs_too() -> None:
    options = PromptOptions(instruction="Write f.")
    problem = Problem("c", "Square.", answer_type="code", prompt=options)
    assert prompts.solve(problem).messages[-1].content == "Square.\n\nWrite f."


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1: 3/10\n2: 9/10\nBest: 2, 1", [2, 1]),
        ("Best: 9\nOn reflection.\n**Best:** 3, 3 and 12", [3, 12]),
        ("best: attempts 4, 5.", [4, 5]),
        ("Best: none", []),
        ("The second.", []),
    ],
)
def test_the_last_ranking_is_read(text: str, numbers: list[int]) -> None:
    assert prompts.parse_ranking(text) == numbers
