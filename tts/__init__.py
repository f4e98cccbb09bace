"""Test-time scaling for language models.

    import tts

    result = tts.solve("What is 7 * 8?", preset="self_consistency", seed=0)
    print(result.answer.text, result.usage.generated_tokens)

Names are loaded on first use, so that importing this package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tts.api import asolve as asolve
    from tts.api import open_verifiers as open_verifiers
    from tts.api import shutdown as shutdown
    from tts.api import solve as solve
    from tts.engine.openai import OpenAIEngine as OpenAIEngine
    from tts.engine.vllm import VLLMEngine as VLLMEngine
    from tts.operators.sample import sample as sample
    from tts.operators.score import score as score
    from tts.operators.select import select as select
    from tts.operators.vote import vote as vote
    from tts.pipeline import Pipeline as Pipeline
    from tts.presets import Preset as Preset
    from tts.presets import load_preset as load_preset
    from tts.runtime.runtime import Runtime as Runtime
    from tts.types import Answer as Answer
    from tts.types import Budget as Budget
    from tts.types import Problem as Problem
    from tts.types import Result as Result
    from tts.types import Sampling as Sampling
    from tts.types import Trajectory as Trajectory
    from tts.types import Usage as Usage

__version__ = "0.1.0"

_HOMES = {
    "tts.api": ("asolve", "open_verifiers", "shutdown", "solve"),
    "tts.engine.openai": ("OpenAIEngine",),
    "tts.engine.vllm": ("VLLMEngine",),
    "tts.operators.sample": ("sample",),
    "tts.operators.score": ("score",),
    "tts.operators.select": ("select",),
    "tts.operators.vote": ("vote",),
    "tts.pipeline": ("Pipeline",),
    "tts.presets": ("Preset", "load_preset"),
    "tts.runtime.runtime": ("Runtime",),
    "tts.types": ("Answer", "Budget", "Problem", "Result", "Sampling", "Trajectory", "Usage"),
}
_HOME_BY_NAME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [
    "Answer",
    "Budget",
    "OpenAIEngine",
    "Pipeline",
    "Preset",
    "Problem",
    "Result",
    "Runtime",
    "Sampling",
    "Trajectory",
    "Usage",
    "VLLMEngine",
    "asolve",
    "load_preset",
    "open_verifiers",
    "sample",
    "score",
    "select",
    "shutdown",
    "solve",
    "vote",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in _HOME_BY_NAME:
        raise AttributeError(f"module 'tts' has no attribute {name!r}")
    value = getattr(import_module(_HOME_BY_NAME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*globals(), *_HOME_BY_NAME])
