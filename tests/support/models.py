"""Folders of models with nothing in them: what can be told of a model before it is loaded."""

import json
from pathlib import Path
from typing import Any

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"


def write_weights(path: Path, num_bytes: int = 64) -> None:
    """Write a safetensors file of one tensor; a large one takes no room on the disk."""
    tensor = {"dtype": "BF16", "shape": [num_bytes // 2], "data_offsets": [0, num_bytes]}
    table = json.dumps({"w": tensor}).encode()
    with path.open("wb") as file:
        file.write(len(table).to_bytes(8, "little") + table)
        file.truncate(8 + len(table) + num_bytes)


def write_model(folder: Path, *, template: str = TEMPLATE, **config: Any) -> Path:
    """Write a folder that looks like a model's."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": template} if template else {})
    )
    write_weights(folder / "model.safetensors")
    return folder
