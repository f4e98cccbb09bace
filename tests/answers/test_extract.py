"""Finding the final answer in a text."""

import time

import pytest

from tts.answers.groups import extract_answer
from tts.types import AnswerType


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so \\boxed{42}.", "42"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),  # nested braces
        ("first \\boxed{1}, then I saw \\boxed{2}", "2"),  # words between: the last one
        ("$x = \\boxed{1}$ or $x = \\boxed{2}$", "1, 2"),  # adjacent: a list
        ("\\boxed{5} \\boxed{5}", "5"),  # said twice, one answer
        ("\\boxed{\\boxed{7}}", "\\boxed{7}"),  # the outer one; canonical form opens the inner
        ("\\boxed{3} and then \\boxed{4", "3"),  # cut off inside the second
        ("\\boxed{3} is it? \\boxed{}", "3"),  # an empty box is none
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),  # escaped braces do not nest
        ("\\fbox{9}", "9"),
        ("steps\n#### 1,234", "1,234"),
        ("<answer> 17 </answer>", "17"),
        ("The final answer is $\\frac12$. I hope it is correct.", "$\\frac12$"),
        ("So the answer is 3.5, because 7/2 = 3.5.", "3.5"),
        ("Answer: x = 4", "x = 4"),
        ("**Final Answer**\n\n12", "12"),
        ("Final Answer: The largest n is 34.", "34"),
        ("Final Answer: Jane started growing Sphere 3 hours ago.", "3"),
        ("The answer is 5. No wait, the answer is 6.", "6"),
        ("<think>\\boxed{1}</think> The answer is 2.", "2"),  # what follows the thinking wins
        ("<think>so \\boxed{1}</think> Done, as you can see above.", "1"),
        ("Alice plays 3 games. Therefore, her chance is 2/3.", "2/3"),  # a conclusion
        ("There are 26 bags. So she has **858** sweets from 26 bags.", "858"),  # in bold
        ("There are 26 bags. So 26 of 30 bags are left.", None),  # which of the two?
        ("Therefore $x \\geq 5$ is the solution.", "$x \\geq 5$"),
        ("The answer is the empty set", None),
        ("Therefore, the chance is 2/3 if", None),  # cut off inside the sentence
        ("\\frac{3}{4}", "\\frac{3}{4}"),  # alone
        ("The matrix is $A$", "$A$"),
        ("Given a matrix $A$", None),  # cut off
        ("<think>\\boxed{3}</think> Given a matrix $A$", "3"),
        ("This answer is correct.", None),
        ("The answer is less than 163.", None),
        ("(The answer is 163)", "163"),
        ("The answer is approximately 5.2", "5.2"),
        ("First we add 3 and 4 to get 7. Then we multiply", None),  # unfinished: no guess
        ("The answer is not easy to see from here at all.", None),
        ("Josh made a profit of **$70,000**.", "$70,000"),  # in bold, in the last sentence
        ("He sold **3** of **5**.", None),
        ("Josh made a profit of **$70,000** and", None),  # cut off
        ("16 - 7 = 9\n#### 18\n\nQuestion: Tom has 3 cats?\n#### 99", "18"),  # an invented question
        ("#### 18\n\nTom has 3 cats. How many legs?\n#### 12", "18"),
        ("#### 18\n\nThat is wrong, it is 9 * 2 + 1.\n#### 19", "19"),
        ("#### Step 1: Add\n3 + 4\n\n#### 2. Multiply it\n", None),  # headings
        ("The answer is 18.\n\nQ: How many?\nA: The answer is 99.", "18"),
        ("\\boxed{18}<|im_end|>\n<|im_start|>user\nNext\n\\boxed{99}", "18"),
        ("Question 1: a?\nAnswer: 3\n\nQuestion 2: b?\nAnswer: 5", "5"),  # asked on the way
        ("First:\n\nQuestion 1: a?\nAnswer: 3\n\n\\boxed{7}", "7"),
        ("**Problem:** Add.\n\nThe answer is 7.", "7"),  # the problem, repeated
        ("so \\boxed 12", "12"),
        ("so $\\boxed12$", "12"),
        ("$\\boxed \\frac{1}{2}$", "\\frac{1}{2}"),
        ("Put it in \\boxed form.", None),
        ("\\framebox{12}", "12"),
        ("\\framebox[2cm]{12}", "12"),
        ("boxed{12}", "12"),  # the backslash was lost
        ("\x08oxed{12}", "12"),  # and here it was read as an escape
        ("<|begin_of_box|>42<|end_of_box|>", "42"),
        ("<final_answer>42</final_answer>", "42"),
        ("[ANSWER] 42 [/ANSWER]", "42"),
        ("Ответ: 42", "42"),
        ("Ответ равен 42.", "42"),
        ("答えは42です。", "42"),
        ("정답은 42입니다.", "42"),
        ("答案：42", "42"),
        ("La respuesta es 42.", "42"),
        ("Die Antwort lautet 42.", "42"),
        ("La réponse est 42.", "42"),
        ("A resposta é 42.", "42"),
        ("Cevap: 42", "42"),
        ("the number is not 10 which is 1,000.99€", "1,000.99€"),  # says its number last
        ("not it's not 10 it's 12m²", "12m²"),
        ("Le coût final est donc de 100 - 30 = 70", "70"),
        ("Es kostet 100 €. Der Preis ist also 70.", "70"),
        ("We see that $x>0$, $y>0.$ Therefore, it increases by 100%.", "100%"),
        ("Réponse: Janeth aura encore 220 $ à payer d'ici 12 mois.", "220 $"),  # the money
        ("Answer: she will have $220 left to pay in 12 months", "$220"),
        ("Answer: she has 220 marbles left in 12 bags", None),
        ("Answer: the angle of $56^{\\circ}$ and that of $124^{\\circ}$", None),
        ("W(x)=1orW(x)=-1", "W(x)=1orW(x)=-1"),
        ("the final step is 12 and", None),  # cut off
        ("hmm", None),  # prose alone is no answer
        ("Sure", None),
        ("ok", None),
        ("Okay, let's see", None),
        ("divisible by 8", None),
        ("No solution", None),
        ("about 5", "5"),
        ("5 cm", "5 cm"),
        ("AB = 5", "AB = 5"),
        ("x:y = 3:4", "x:y = 3:4"),
        ("คำตอบคือ: 42", "42"),  # a label in any language, and nothing else
        ("\\boxed{42", None),  # cut off
        ("xy + \\sin x", "xy + \\sin x"),
        ("x", "x"),
        ("The answer is divisible by 8.", None),
        ("The answer is even.", "even"),  # announced, a word may be one
        ("The answer is i.", "i"),
        ("The answer is I don't know.", None),
        ("", None),
    ],
)
def test_extract_math(text: str, expected: str | None) -> None:
    assert extract_answer(text, "math") == expected


@pytest.mark.parametrize(
    ("text", "answer_type", "expected"),
    [
        ("\\boxed{042}", "integer", "42"),
        ("\\boxed{12 \\text{ apples}}", "integer", "12"),
        ("\\boxed{\\frac{1}{2}}", "integer", "\\frac{1}{2}"),  # an answer, though a wrong one
        ("The answer is 1,024 apples.", "integer", "1024"),
        ("we get\n7", "integer", "7"),  # alone on the last line
        ("we get 7 and", "integer", None),
        ("\\[\n\\boxed{350", "integer", None),  # cut off in its box
        ("```python\nprint(1)\n```\nor\n```\nprint(2)\n```", "code", "print(2)"),
        ("```\nprint(1)\n```\nor\n```\nprint(", "code", "print(1)"),  # the open one is cut off
        ("no fence", "code", None),
        ("so \\boxed{(1+2)*3}", "countdown", "(1+2)*3"),
        ("(1 + 2) * 3 = 9", "countdown", "(1 + 2) * 3 = 9"),
        ("r1c1 = 1\n\n\\boxed{12 21}", "grid", "12 21"),
        ("Of\n1 0\n0 1\nwe make:\n| 1 2 |\n| 2 1 |\nThat is it.", "grid", "| 1 2 |\n| 2 1 |"),
        ("The first cell is 1, so\n1 2", "grid", None),  # one row is no grid
        (
            "The answer is blue whale.\n\nIt is big.",
            "free",
            "The answer is blue whale.\n\nIt is big.",
        ),
        ("<think>short?</think>\n\nAn essay.\n", "free", "An essay."),
        ("<think>\\boxed{3} and", "free", None),  # the thought has no end
        (" \n", "free", None),
    ],
)
def test_extract_other_types(text: str, answer_type: AnswerType, expected: str | None) -> None:
    assert extract_answer(text, answer_type) == expected


@pytest.mark.parametrize(
    "piece",
    [
        "\\boxed{",
        "\\boxed{1}",
        "{",
        "}",
        "answer ",
        "the answer is ",
        "Answer:\n",
        "#### ",
        "<answer>",
        "$",
        "\\(",
        "```\n",
        "1,",
        "is = ",
        "\n",
        " ",
        "* ",
        "\\boxed ",
        "answer is (",
        "option ",
        "so ",
        "B. ",
        "<think>",
        "</think>",
        "<|",
        "Question:\n",
        "#### 1?\n",
        "答案",
        "\\text{",
    ],
)
@pytest.mark.parametrize("answer_type", ["math", "integer", "code", "choice", "free"])
def test_extraction_is_linear_on_hostile_text(piece: str, answer_type: AnswerType) -> None:
    text = piece * (50_000 // len(piece))
    start = time.process_time()
    extract_answer(text, answer_type)
    # Linear work takes 3 to 80 ms here; quadratic work would take many seconds.
    assert time.process_time() - start < 1.0
