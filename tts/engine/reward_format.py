"""How reward models read a problem and its steps, where that is not by chat template and tag.

To serve a reward model that vLLM lacks, add its architecture here, with the class that loads it and
the format that it was trained on. vLLM's worker processes learn of it through the entry point group
`vllm.general_plugins`.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class RewardFormat:
    """The input of a reward model.

    Attributes:
        module: Loads it, as "module:class".
        template: Chat template that renders the problem.
        tag: Text of the token that stands after each line of a step.
    """

    module: str
    template: str
    tag: str


FORMATS = {
    "Qwen2ForPrmModel": RewardFormat(
        module="tts.engine.value_head:Qwen2ForPrmModel",
        template="{{ bos_token }}{{ messages[-1]['content'] }}{{ '\\n' }}",
        tag="\n",
    ),
}


def register_models() -> None:
    """Tell vLLM of the architectures that it lacks; none is imported before it is asked for."""
    registry: Any = import_module("vllm.model_executor.models.registry").ModelRegistry
    for name, known in FORMATS.items():
        registry.register_model(name, known.module)
