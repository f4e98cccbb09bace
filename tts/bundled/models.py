"""Shapes of the models."""

from transformers import Qwen2Config, Qwen3Config

MAX_POSITIONS = 16384
NEW_LAYERS = 2  # of the reward model, above the policy's


def policy_config(vocabulary: int, ids: dict[str, int]) -> Qwen3Config:
    """Return the shape of the policy; head size 64 and two query heads to a KV head."""
    return _qwen3(vocabulary, ids, width=128, layers=5, heads=2, inner=384)


def draft_config(vocabulary: int, ids: dict[str, int]) -> Qwen3Config:
    """Return the shape of the draft model."""
    return _qwen3(vocabulary, ids, width=64, layers=3, heads=2, inner=128)


def searcher_config(vocabulary: int, ids: dict[str, int]) -> Qwen3Config:
    """Return the shape of both models of `tts bench crossover`."""
    return _qwen3(vocabulary, ids, width=128, layers=4, heads=2, inner=256)


def spawner_config(vocabulary: int, ids: dict[str, int]) -> Qwen3Config:
    """Return the shape of the model that spawns searches and of its serial twin."""
    return _qwen3(vocabulary, ids, width=96, layers=4, heads=3, inner=256, head_size=32)


def _qwen3(
    vocabulary: int,
    ids: dict[str, int],
    *,
    width: int,
    layers: int,
    heads: int,
    inner: int,
    head_size: int = 64,
) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=1,
        head_dim=head_size,
        max_position_embeddings=MAX_POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        initializer_range=0.02,
        bos_token_id=None,
        eos_token_id=ids["eos"],
        pad_token_id=ids["pad"],
    )


def prm_config(vocabulary: int, ids: dict[str, int]) -> Qwen2Config:
    """Return the shape of the reward model's trunk: the policy's, and two layers to compare."""
    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=5 + NEW_LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=MAX_POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=False,
        initializer_range=0.02,
        bos_token_id=None,
        eos_token_id=ids["eos"],
        pad_token_id=ids["pad"],
    )
