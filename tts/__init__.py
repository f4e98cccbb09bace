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
    from tts.api import shutdown as shutdown
    from tts.api import solve as solve
    from tts.engine.openai import OpenAIEngine as OpenAIEngine
    from tts.engine.sparse_config import SparseConfig as SparseConfig
    from tts.engine.vllm import VLLMEngine as VLLMEngine
    from tts.operators._condition import Condition as Condition
    from tts.operators.choose import choose as choose
    from tts.operators.delegate import delegate as delegate
    from tts.operators.follow import follow as follow
    from tts.operators.fuse import fuse as fuse
    from tts.operators.loop import loop as loop
    from tts.operators.map_parts import map_parts as map_parts
    from tts.operators.plan import plan as plan
    from tts.operators.prune import prune as prune
    from tts.operators.refine import refine as refine
    from tts.operators.route import route as route
    from tts.operators.sample import sample as sample
    from tts.operators.score import score as score
    from tts.operators.screen import screen as screen
    from tts.operators.select import select as select
    from tts.operators.think import think as think
    from tts.operators.vote import vote as vote
    from tts.pipeline import Pipeline as Pipeline
    from tts.plugins import load_plugin as load_plugin
    from tts.presets.load import Preset as Preset
    from tts.presets.load import load_preset as load_preset
    from tts.runtime.runtime import Runtime as Runtime
    from tts.session import open_verifiers as open_verifiers
    from tts.types import Answer as Answer
    from tts.types import Budget as Budget
    from tts.types import Problem as Problem
    from tts.types import Result as Result
    from tts.types import Sampling as Sampling
    from tts.types import Trajectory as Trajectory
    from tts.types import Usage as Usage

__version__ = "0.1.0"

_HOMES = {
    "tts.api": ("asolve", "shutdown", "solve"),
    "tts.engine.openai": ("OpenAIEngine",),
    "tts.engine.sparse_config": ("SparseConfig",),
    "tts.engine.vllm": ("VLLMEngine",),
    "tts.session": ("open_verifiers",),
    "tts.operators._condition": ("Condition",),
    "tts.operators.choose": ("choose",),
    "tts.operators.delegate": ("delegate",),
    "tts.operators.follow": ("follow",),
    "tts.operators.fuse": ("fuse",),
    "tts.operators.loop": ("loop",),
    "tts.operators.map_parts": ("map_parts",),
    "tts.operators.plan": ("plan",),
    "tts.operators.prune": ("prune",),
    "tts.operators.refine": ("refine",),
    "tts.operators.route": ("route",),
    "tts.operators.sample": ("sample",),
    "tts.operators.score": ("score",),
    "tts.operators.screen": ("screen",),
    "tts.operators.select": ("select",),
    "tts.operators.think": ("think",),
    "tts.operators.vote": ("vote",),
    "tts.plugins": ("load_plugin",),
    "tts.pipeline": ("Pipeline",),
    "tts.presets.load": ("Preset", "load_preset"),
    "tts.runtime.runtime": ("Runtime",),
    "tts.types": ("Answer", "Budget", "Problem", "Result", "Sampling", "Trajectory", "Usage"),
}
_HOME_BY_NAME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [
    "Answer",
    "Budget",
    "Condition",
    "OpenAIEngine",
    "Pipeline",
    "Preset",
    "Problem",
    "Result",
    "Runtime",
    "Sampling",
    "SparseConfig",
    "Trajectory",
    "Usage",
    "VLLMEngine",
    "asolve",
    "choose",
    "delegate",
    "follow",
    "fuse",
    "load_plugin",
    "load_preset",
    "loop",
    "map_parts",
    "open_verifiers",
    "plan",
    "prune",
    "refine",
    "route",
    "sample",
    "score",
    "screen",
    "select",
    "shutdown",
    "solve",
    "think",
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
