"""Teams that read each other's unfinished text: what each sees and when, steps, answers, costs."""

import re

from tests.support.results import prompts_of
from tests.support.solving import SAMPLING, solve
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine
from tts.operators.shared_work import shared_work
from tts.types import Budget, Result, Sampling

_OWN = re.compile(r".*\*\*(\w+) \[(\d+)\]:\*\*(.*)", re.DOTALL)


def team(**steps: list[str]) -> Script:
    """Script: each member writes its steps, and ends the sequence when it has none left."""

    def line(ask: Ask) -> Line:
        if ask.prompt.endswith("\\boxed{"):
            return Line("12}")
        name, number, so_far = own_part(ask.prompt)
        told = steps[name]
        if number > len(told):
            return Line("")
        step = told[number - 1] + "\n\n"
        return Line(step[len(so_far) :]) if step.startswith(so_far) else Line("")

    return line


def own_part(prompt: str) -> tuple[str, int, str]:
    """Return who is asked, which step is open, and what stands in it after the name."""
    found = _OWN.fullmatch(prompt)
    assert found is not None
    first_words = r"^( Hi, I'm \w+\.)?( Here's how we can)?( Quick check: .* \(yes/no\):)?"
    return found[1], int(found[2]), re.sub(first_words, "", found[3]).lstrip("\n")


def work(
    script: Script, sampling: Sampling = SAMPLING, **settings: int
) -> tuple[Result, list[str]]:
    engine = ScriptedEngine(script)
    result = solve(engine, shared_work(**settings), sampling=sampling)
    skipped = "<assistant><think>\n\n</think>\n\n"
    return result, [prompt.rpartition(skipped)[2] for prompt in prompts_of(engine)]


SHARED, OWN = "### Work in progress (others)", "<...>\n\n### Work in progress (own)"


def test_each_sees_the_others_text_of_the_last_turn_and_its_own_at_the_end() -> None:
    script = team(Alice=[" three fours make \\boxed{12}."], Bob=[" four threes, which is as many."])
    result, sent = work(script, lag=10)
    alice, bob = "**Alice [1]:** Hi, I'm Alice. Here's how we can", "**Bob [1]:** Hi, I'm Bob."
    assert sent[:2] == [
        f"{SHARED}\n\n{bob}\n\n{OWN}\n\n{alice}",
        f"{SHARED}\n\n{alice}\n\n{OWN}\n\n{bob}",
    ]
    assert sent[2] == f"{SHARED}\n\n{bob} four thre\n\n{OWN}\n\n{alice} three fou"
    assert sent[3] == f"{SHARED}\n\n{alice} three fou\n\n{OWN}\n\n{bob} four thre"
    assert result.answer is not None and result.answer.text == "12"


def test_steps_stand_in_the_order_in_which_they_ended_and_a_boxed_one_ends_the_work() -> None:
    script = team(
        Alice=[" a long step to begin with.", " So \\boxed{12}."], Bob=[" short.", " also short."]
    )
    result, _ = work(script, lag=12)
    (made,) = result.trajectories
    names = re.findall(r"\*\*(\w+ \[\d\])", made.text)
    assert names == ["Bob [1]", "Bob [2]", "Alice [1]", "Alice [2]", "Bob [3]"][: len(names)]
    assert made.answer == "12"
    assert made.finish_reason == "stop"


def test_one_who_works_alone_writes_what_plain_decoding_writes() -> None:
    steps = [" first this, and then that.", " So it is \\boxed{12}."]
    cut, sent = work(team(Alice=steps), workers=1, lag=5)
    whole, _ = work(team(Alice=steps), workers=1, lag=400)
    assert [t.text for t in cut.trajectories] == [t.text for t in whole.trajectories]
    assert not any("###" in prompt for prompt in sent)
    assert cut.usage.generated_tokens == whole.usage.generated_tokens
    assert whole.usage.sequential_tokens == whole.usage.generated_tokens


def test_a_paragraph_that_ends_no_sentence_goes_on_in_the_same_step() -> None:
    def line(ask: Ask) -> Line:
        return Line("\n\\boxed{12}." if ask.prompt.endswith("sum:\n\n") else " the sum:\n\n")

    result, sent = work(line, workers=1)
    assert sent[1].endswith("Here's how we can the sum:\n\n")
    assert result.trajectories[0].text.endswith("we can the sum:\n\n\\boxed{12}.")


def test_a_check_for_redundant_work_opens_the_next_step_after_enough_tokens() -> None:
    steps = [" x" * 20 + ".", " y" * 20 + ".", " So \\boxed{12}."]
    _, sent = work(team(Alice=steps, Bob=[" z" * 50 + "."]), check_every=50, lag=16)
    assert any("**Alice [2]:** Quick check: am I doing redundant work?" in one for one in sent)
    assert not any("Quick check" in one for one in sent[:4])


def test_at_the_limit_the_answer_is_asked_for_and_both_costs_are_told() -> None:
    endless = team(Alice=[" and" * 300], Bob=[" or" * 300])
    result, sent = work(endless, Sampling(max_tokens=40), lag=20)
    assert sent[-1].endswith("the final answer is \\boxed{")
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.generated_tokens == 2 * 40 + len("12}")
    (figures,) = result.facts.graphs
    assert figures.sequential_tokens == result.usage.sequential_tokens == 40 + len("12}")


def test_a_member_that_fails_leaves_the_work_to_the_other() -> None:
    good = team(Alice=[" three fours.", " So \\boxed{12}."])

    def line(ask: Ask) -> Line:
        is_bob = own_part(ask.prompt)[0] == "Bob"
        return Line(" a", error="the server fell over") if is_bob else good(ask)

    result, _ = work(line, lag=8)
    (made,) = result.trajectories
    assert (made.answer, made.error) == ("12", None)


def test_teams_that_see_the_same_are_asked_for_at_once() -> None:
    script = team(Alice=[" three fours.", " So \\boxed{12}."], Bob=[" four threes."])
    engine = ScriptedEngine(script)
    result = solve(engine, shared_work(n=3, lag=8), sampling=SAMPLING)
    assert [t.answer for t in result.trajectories] == ["12"] * 3
    assert [request.n for request in engine.requests[:2]] == [3, 3]
    assert {request.n for request in engine.requests[2:]} == {1}
    # Its first team is drawn as it is without the others.
    alone = ScriptedEngine(script)
    solve(alone, shared_work(lag=8), sampling=SAMPLING)
    assert [r.seed for r in alone.requests[:2]] == [r.seed for r in engine.requests[:2]]


def test_a_budget_for_some_teams_leaves_the_others_without_a_word() -> None:
    script = team(Alice=[" So \\boxed{12}."], Bob=[" four threes."])
    engine = ScriptedEngine(script)
    result = solve(engine, shared_work(n=3), sampling=SAMPLING, budget=Budget(calls=7))
    assert [t.answer for t in result.trajectories] == ["12"] * len(result.trajectories)
    assert sum(request.n for request in engine.requests) <= 7


def test_nothing_to_add_ends_the_work_and_several_teams_vote() -> None:
    result, _ = work(team(Alice=[" I am done."], Bob=[" me too."]), n=3)
    assert len(result.trajectories) == 3
    assert all(t.text.endswith("\\boxed{12}") for t in result.trajectories)
    voted = solve(
        team(Alice=[" So \\boxed{12}."], Bob=[" ok."]), "hogwild_lagged", overrides=["n=3"]
    )
    assert voted.answer is not None and voted.answer.text == "12"


def test_a_step_ends_where_the_model_writes_what_is_ours_to_write() -> None:
    """Texts of a 1.5B model: a view's mark, the other's name, steps of blanks."""
    told = {
        "Alice [1]": " there are 12 * 8 = 96 clips.\n\n<...>\n\n**Bob [2]:** I add them.",
        "Alice [2]": " So \\boxed{12}.",
        "Bob [1]": " With Alice's 96 I reckon the total:**Alice [2]:** I did.",
        "Bob [2]": " \n\n<...>",
    }

    def line(ask: Ask) -> Line:
        name, number, so_far = own_part(ask.prompt)
        step = told[f"{name} [{number}]"]
        return Line(step[len(so_far) :]) if step.startswith(so_far) else Line("")

    result, _ = work(line)
    (made,) = result.trajectories
    assert made.text == (
        "**Alice [1]:** Hi, I'm Alice. Here's how we can there are 12 * 8 = 96 clips.\n\n"
        "**Bob [1]:** Hi, I'm Bob. With Alice's 96 I reckon the total:\n\n"
        "**Alice [2]:** So \\boxed{12}."
    )
    assert made.answer == "12"


def test_a_boxed_step_ends_the_work_though_another_step_ended_after_it() -> None:
    script = team(Alice=[" is it 13."], Bob=[" \\boxed{12}."])
    result, sent = work(script)
    assert (result.trajectories[0].answer, len(sent)) == ("12", 2)
    script = team(Alice=[" \\boxed{12}."], Bob=[" is it not rather 13, as I see it."])
    result, sent = work(script)
    assert (result.trajectories[0].answer, len(sent)) == ("12", 2)
