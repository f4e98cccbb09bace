"""The letter of a multiple-choice answer."""

import pytest

from tts.answers.groups import extract_answer


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("the answer is (B).", "B"),
        ("Answer: C) 42", "C"),
        ("The correct answer is option (C).", "C"),
        ("Therefore, the correct option is B.", "B"),
        ("The correct choice is $\\textbf{(B)}$", "B"),
        ("The correct answer is C: Paris.", "C"),
        ("I think the answer would be (D) 12.", "D"),
        ("My answer is **(A) 5**", "A"),
        ("**Answer: B**", "B"),
        ("ANSWER: b", "B"),
        ("the answer is B, because it is 5", "B"),
        ("答案：B", "B"),
        ("故选：D", "D"),
        ("Réponse : C", "C"),
        ("Die richtige Antwort ist B.", "B"),
        ("Option B is correct.", "B"),
        ("A is wrong and B is correct.", "B"),
        ("Thus (E) is the right choice.", "E"),
        ("I choose (c).", "C"),
        ("I'll go with option A.", "A"),
        ("Therefore, B.", "B"),
        ("The answer is A. Wait, the answer is C.", "C"),  # the last one
        ("\\boxed{\\text{D}}", "D"),
        ("\\boxed{d}", "D"),
        ("\\boxed{\\textbf{(D) } 5}", "D"),
        ("\\boxed{C. 42}", "C"),
        ("so $\\boxed{x^2+1}$. Answer: D", "D"),  # the formula is no letter
        ("<answer>(B)</answer>", "B"),
        ("I would pick\n**B**", "B"),
        ("**B. Paris**", "B"),
        ("Let me think.\n\nB) Paris", "B"),
        ("**C**: because it is so", "C"),
        ("Option C", "C"),
        ("(b)", "B"),
        ("[THINK]\\boxed{A}[/THINK]The answer is B.", "B"),
        ("The answer is B.\n\nQuestion: another?\nThe answer is C.", "B"),
        ("A bird in the hand.", None),
        ("The answer is A bird", None),
        ("I don't know", None),
        ("The answer is I don't know.", None),
        ("The answer is a number.", None),
        ("The answer is not B", None),
        ("The answer is A or B", None),  # two are none
        ("Answer: A, B", None),
        ("\\boxed{12}", None),
        ("A. 1\nB. 2\nC. 3\nD. 4", None),  # the options, repeated
        ("Let's look at option A: it says 5.", None),
        ("b", None),
    ],
)
def test_a_letter_or_none(text: str, letter: str | None) -> None:
    assert extract_answer(text, "choice") == letter
