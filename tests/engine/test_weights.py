"""Weights of published models, by their published configurations and by what files hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from tts.engine.weights import Tensor, active_parameters, tensors_in, weight_bits, weights_of

MIXTRAL = {
    "model_type": "mixtral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}
QWEN3_30B = {
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_hidden_layers": 48,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}
DEEPSEEK_V3 = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
    "num_nextn_predict_layers": 1,
    "quantization_config": {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
    },
}
GPT_OSS_20B = {
    "model_type": "gpt_oss",
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "num_hidden_layers": 24,
    "num_local_experts": 32,
    "num_experts_per_tok": 4,
    "experts_per_token": 4,
    "quantization_config": {
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router"],
        "quant_method": "mxfp4",
    },
}
GPT_OSS_120B = GPT_OSS_20B | {"num_hidden_layers": 36, "num_local_experts": 128}
LLAMA4_MAVERICK = {
    "model_type": "llama4",
    "text_config": {
        "model_type": "llama4_text",
        "hidden_size": 5120,
        "intermediate_size": 8192,
        "intermediate_size_mlp": 16384,
        "num_hidden_layers": 48,
        "num_local_experts": 128,
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 2,
    },
}
QWEN25 = {"model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24}


@pytest.mark.parametrize(
    ("config", "parameters", "billions"),
    [
        (MIXTRAL, 46_702_792_704, 12.9),  # 46.7 - 6 * 3 * 4096 * 14336 * 32
        (QWEN3_30B, 30_532_122_624, 3.35),  # the card says 3.3
        (DEEPSEEK_V3, 671_026_419_200, 37.6),  # 256 - 8 experts of 58 layers; the paper says 37
        (GPT_OSS_20B, 20_914_757_184, 4.18),  # 3.6 on the card, without 0.58 of embeddings
        (GPT_OSS_120B, 116_829_156_672, 5.7),  # 5.1 on the card, without 0.58 of embeddings
        (LLAMA4_MAVERICK, 400_711_848_960, 17.2),  # 24 layers of 48 have experts; the card says 17
        (QWEN25, 494_032_768, 0.494),  # no experts: all
    ],
)
def test_active_parameters_of_published_models(
    config: dict[str, Any], parameters: int, billions: float
) -> None:
    assert active_parameters(config, parameters) / 1e9 == pytest.approx(billions, rel=0.02)


@pytest.mark.parametrize(
    ("quantised", "bits"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}, 4.125),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, 4.125),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 8.0),
        ({"quant_method": "mxfp4"}, 4.25),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8.0),
        ({"quant_method": "fbgemm_fp8"}, 8.0),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.0),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False}, 8.0),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "pack-quantized",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 128}}},
            },
            4.125,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "int-quantized",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "group_size": None}}},
            },
            8.0,
        ),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}, 4.5),
        ({"quant_method": "of a later year"}, None),
        ({}, None),
    ],
)
def test_bits_of_quantised_weights(quantised: dict[str, Any], bits: float | None) -> None:
    assert weight_bits({"quantization_config": quantised}) == bits


def test_packed_weights_are_counted_one_by_one() -> None:
    config = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
    layer = "model.layers.0.mlp.up_proj"
    found = weights_of(
        config,
        [
            Tensor(f"{layer}.qweight", "I32", (128 // 8, 64)),  # 8192 weights of 4 bits
            Tensor(f"{layer}.qzeros", "I32", (1, 8)),
            Tensor(f"{layer}.scales", "F16", (1, 64)),
            Tensor(f"{layer}.g_idx", "I32", (128,)),
            Tensor("model.norm.weight", "F16", (64,)),
        ],
    )
    assert found.parameters == 128 * 64 + 64
    # 4 bits each, 256 of zeros, 1024 of scales, 4096 of indices, 1024 of the norm
    assert found.bits == (4 * 8192 + 256 + 1024 + 4096 + 1024) / (8192 + 64)


@pytest.mark.parametrize(
    ("quantised", "tensor", "parameters"),
    [
        ({"quant_method": "awq", "bits": 4}, Tensor("a.qweight", "I32", (64, 16)), 64 * 128),
        (
            {"config_groups": {"group_0": {"weights": {"num_bits": 4}}}},
            Tensor("a.weight_packed", "I32", (64, 16)),
            64 * 128,
        ),
        (
            {"quant_method": "mxfp4"},
            Tensor("mlp.experts.down_proj_blocks", "U8", (32, 64, 2, 16)),
            32 * 64 * 2 * 32,
        ),
        ({"quant_method": "mxfp4"}, Tensor("mlp.experts.down_proj_scales", "U8", (32, 64)), None),
        ({"quant_method": "fp8"}, Tensor("a.weight", "F8_E4M3", (64, 16)), 1024),
        ({"quant_method": "fp8"}, Tensor("a.weight_scale_inv", "F32", (1, 1)), None),
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True},
            Tensor("a.weight", "U8", (512, 1)),
            1024,
        ),
        ({}, Tensor("a.weight", "BF16", (64, 16)), 1024),
    ],
)
def test_weights_in_a_tensor(
    quantised: dict[str, Any], tensor: Tensor, parameters: int | None
) -> None:
    assert weights_of({"quantization_config": quantised}, [tensor]).parameters == parameters


def test_layers_for_speculation_are_no_part_of_the_model() -> None:
    tensors = [Tensor(f"model.layers.{i}.a.weight", "BF16", (4, 4)) for i in range(3)]
    assert weights_of({"num_hidden_layers": 2}, tensors).parameters == 32


@pytest.mark.parametrize(("tied", "parameters"), [(True, 64), (False, 128)])
def test_embeddings_that_serve_twice_are_counted_once(tied: bool, parameters: int) -> None:
    names = ("model.embed_tokens.weight", "lm_head.weight")
    tensors = [Tensor(name, "BF16", (16, 4)) for name in names]
    assert weights_of({"tie_word_embeddings": tied}, tensors).parameters == parameters


def test_headers_of_files_are_read(tmp_path: Path) -> None:
    about = {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "a.weight": about}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(12)
    (tmp_path / "model.safetensors").write_bytes(content)
    assert list(tensors_in(tmp_path)) == [Tensor("a.weight", "BF16", (2, 3))]
