"""What `import tts` and the commonest preset must not load: it is what a start waits for."""

import subprocess
import sys

import pytest

# Each takes 0.05 to 5 s to import. Lists of times would differ by machine; this one does not.
HEAVY = (
    "datasets", "huggingface_hub", "matplotlib", "networkx", "numpy", "openai", "pandas", "rich",
    "scipy", "sympy", "torch", "transformers", "typer", "vllm",
)  # fmt: skip


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import tts", (*HEAVY, "asyncio", "pydantic", "yaml")),
        ("import tts; tts.load_preset('self_consistency')", (*HEAVY, "tts.answers.extract")),
        ("import tts; tts.load_preset('early_stop')", HEAVY),
    ],
)
def test_a_start_loads_nothing_heavy(code: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys; {code}; print([name for name in {heavy} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
