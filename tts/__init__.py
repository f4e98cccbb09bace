"""Test-time scaling for language models.

    import tts

    result = tts.solve("What is 7 * 8?", preset="self_consistency", seed=0)
    print(result.answer.text, result.usage.generated_tokens)

The other public names have doors of their own: `tts.operators` builds pipelines, `tts.strategies`
holds the recipes behind the presets; `tts.engines`, `tts.verifiers`, `tts.types` and `tts.errors`
hold what their names say. All are loaded on first use: importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from tts.lazy import open_door
from tts.version import VERSION

if TYPE_CHECKING:
    from tts import engines as engines
    from tts import errors as errors
    from tts import operators as operators
    from tts import strategies as strategies
    from tts import types as types
    from tts import verifiers as verifiers
    from tts.api import asolve as asolve
    from tts.api import shutdown as shutdown
    from tts.api import solve as solve
    from tts.api import solve_many as solve_many
    from tts.errors import TTSError as TTSError
    from tts.evaluation import evaluate as evaluate
    from tts.parts.plugins import load_plugin as load_plugin
    from tts.pipeline import Pipeline as Pipeline
    from tts.presets.load import Preset as Preset
    from tts.presets.load import load_preset as load_preset
    from tts.session.runtime import Runtime as Runtime
    from tts.types import Budget as Budget
    from tts.types import Problem as Problem
    from tts.types import Result as Result
    from tts.types import Sampling as Sampling
    from tts.types.figures import Summary as Summary

__version__ = VERSION
open_door(
    __name__,
    {
        "Budget": "tts.budget",
        "Pipeline": "tts.pipeline",
        "Preset": "tts.presets.load",
        "Problem": "tts.types",
        "Result": "tts.types",
        "Runtime": "tts.session.runtime",
        "Sampling": "tts.types",
        "Summary": "tts.types.figures",
        "TTSError": "tts.errors",
        "asolve": "tts.api",
        "evaluate": "tts.evaluation",
        "load_plugin": "tts.parts.plugins",
        "load_preset": "tts.presets.load",
        "shutdown": "tts.api",
        "solve": "tts.api",
        "solve_many": "tts.api",
    },
    doors=("engines", "errors", "operators", "strategies", "types", "verifiers"),
)
