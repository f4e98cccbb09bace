"""Telling English problems from others."""

import json
import os
from pathlib import Path

import pytest

from tts import prompts
from tts.languages import is_in_english
from tts.types import Problem


@pytest.mark.parametrize(
    "text",
    [
        "What is 3 * 4?",
        "3 * 4 = ?",
        "Find x.",
        "Is π greater than three?",
        "A fair die is rolled.",
        "Say 3.",
        "Let $a=19, b=20$, and $c=21$. Compute $a+2ab+ca$.",
        "Write a function to convert a list to a tuple.",
        "",
    ],
)
def test_english(text: str) -> None:
    assert is_in_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "¿Cuántos números primos hay entre 10 y 20?",
        "Calcula 3*4.",
        "Resuelve $x^2=4$.",
        "Janet tiene 3 manzanas y compra 4. ¿Cuántas tiene ahora?",
        "Wie viele Primzahlen gibt es zwischen 10 und 20?",
        "Berechne 3*4.",
        "Was ist 3 mal 4?",
        "Ein Zug fährt 60 km pro Stunde. Wie weit kommt er in 3 Stunden?",
        "Combien de nombres premiers y a-t-il entre 10 et 20 ?",
        "Quel est le reste de 2^10 par 7 ?",
        "Quanti numeri primi ci sono tra 10 e 20?",
        "Quanto é 3 vezes 4?",
        "Hoeveel is 3 keer 4?",
        "Ile jest 3 razy 4?",
        "3 kere 4 kaç eder?",
        "Berapa 3 kali 4?",
        "三乘四等于多少",
        "Сколько будет 3 умножить на 4?",
        "ما حاصل ضرب ٣ في ٤؟",
    ],
)
def test_not_english(text: str) -> None:
    assert not is_in_english(text)


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({}, "Chinese"),
        ({"language": "de"}, "English"),
        ({"lang": "pt-BR"}, "English"),
        ({"language": "en-GB"}, "Chinese"),
        ({"language": "English"}, "Chinese"),
    ],
)
def test_metadata_says_it_better(metadata: dict[str, str], language: str) -> None:
    problem = Problem("p", "What is 3 * 4?", metadata=metadata)
    prompt = prompts.solve_in_another_language(problem)
    assert prompt.messages[-1].content.endswith(f"Write in {language}.")


def test_every_published_problem_is_english() -> None:
    if not os.environ.get("TTS_DATA_DIR"):
        pytest.skip("TTS_DATA_DIR does not name a folder with the benchmark files")
    names = ("math500", "gsm8k_test", "aime2024", "aime2025", "aime2026", "olympiadbench")
    files = [Path(os.environ["TTS_DATA_DIR"]) / f"{name}.jsonl" for name in names]
    texts = [
        json.loads(line)["problem"] for file in files for line in file.read_text().splitlines()
    ]
    assert [text for text in texts if not is_in_english(text)] == []
