"""`import tts` is cheap, and every public name exists."""

import subprocess
import sys

import tts

HEAVY = ("torch", "vllm", "transformers", "scipy", "matplotlib", "datasets", "sympy", "pydantic")


def test_every_public_name_can_be_loaded() -> None:
    for name in tts.__all__:
        assert getattr(tts, name) is not None
    assert set(tts.__all__) <= set(dir(tts))


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, tts; print([m for m in {HEAVY} if m in sys.modules])"
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_unknown_names_are_refused() -> None:
    try:
        tts.nothing  # noqa: B018
    except AttributeError as error:
        assert "no attribute 'nothing'" in str(error)
    else:
        raise AssertionError("an unknown name was found")
