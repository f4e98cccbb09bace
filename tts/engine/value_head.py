"""Skywork's process reward models for vLLM, which has none: Qwen2 and a value head at every token.

The architecture is called Qwen2ForPrmModel, its head `v_head.summary`: one logit, whose sigmoid is
the probability that the reasoning is right so far. Imported by vLLM, by name, when a model of this
architecture is loaded.

Source: SkyworkAI/skywork-o1-prm-inference, which serves Skywork-o1-Open-PRM on vLLM 0.6.
"""

from collections.abc import Iterable

from torch import Tensor, nn
from vllm.config import VllmConfig
from vllm.model_executor.layers.pooler.tokwise import pooler_for_token_classify
from vllm.model_executor.models.interfaces_base import default_pooling_type
from vllm.model_executor.models.qwen2_rm import Qwen2RewardBaseModel
from vllm.model_executor.models.utils import AutoWeightsLoader, WeightsMapper


@default_pooling_type(tok_pooling_type="ALL")
class Qwen2ForPrmModel(Qwen2RewardBaseModel):  # type: ignore[misc]
    """Qwen2 with a value head in place of the base class' classifier."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        config = vllm_config.model_config
        config.hf_config.num_labels = 1
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        self.score = nn.Linear(config.hf_config.hidden_size, 1, dtype=self.head_dtype)
        self.pooler = pooler_for_token_classify(config.pooler_config)

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        """Take the checkpoint's weights; returns the names of those that were loaded."""
        loader = AutoWeightsLoader(self, ignore_unexpected_prefixes=["lm_head."])
        names = WeightsMapper(orig_to_new_prefix={"v_head.summary.": "score."})
        loaded: set[str] = loader.load_weights(weights, mapper=names)
        return loaded
