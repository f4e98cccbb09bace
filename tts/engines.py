"""Engines, and what is needed to write one: import what is public from here.

from tts.engines import OpenAIEngine, VLLMEngine

engine = VLLMEngine("Qwen/Qwen3-8B", max_model_len=8192)
"""

from typing import TYPE_CHECKING

from tts.lazy import open_door

if TYPE_CHECKING:
    from tts.engine.openai import OpenAIEngine as OpenAIEngine
    from tts.engine.pools import Pool as Pool
    from tts.engine.pools import RecordedProblem as RecordedProblem
    from tts.engine.pools import RecordedSample as RecordedSample
    from tts.engine.replay import ReplayEngine as ReplayEngine
    from tts.engine.scripted import Ask as Ask
    from tts.engine.scripted import Line as Line
    from tts.engine.scripted import Script as Script
    from tts.engine.scripted import ScriptedEngine as ScriptedEngine
    from tts.engine.scripted import lines as lines
    from tts.engine.sparse_config import SparseConfig as SparseConfig
    from tts.engine.vllm import VLLMEngine as VLLMEngine
    from tts.protocols import Capabilities as Capabilities
    from tts.protocols import CompletionStream as CompletionStream
    from tts.protocols import Engine as Engine
    from tts.types import ModelInfo as ModelInfo
    from tts.types import Price as Price

open_door(
    __name__,
    {
        "Ask": "tts.engine.scripted",
        "Capabilities": "tts.protocols",
        "CompletionStream": "tts.protocols",
        "Engine": "tts.protocols",
        "Line": "tts.engine.scripted",
        "ModelInfo": "tts.types",
        "OpenAIEngine": "tts.engine.openai",
        "Pool": "tts.engine.pools",
        "Price": "tts.types",
        "RecordedProblem": "tts.engine.pools",
        "RecordedSample": "tts.engine.pools",
        "ReplayEngine": "tts.engine.replay",
        "Script": "tts.engine.scripted",
        "ScriptedEngine": "tts.engine.scripted",
        "SparseConfig": "tts.engine.sparse_config",
        "VLLMEngine": "tts.engine.vllm",
        "lines": "tts.engine.scripted",
    },
)
