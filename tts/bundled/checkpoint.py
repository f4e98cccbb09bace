"""Checkpoints of a training, and export as Hugging Face folders; safetensors only."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(slots=True)
class Progress:
    """How far a training is."""

    steps: int = 0
    tokens: int = 0
    examples: int = 0
    seconds: float = 0.0


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    average: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    progress: Progress,
) -> None:
    """Write everything that a resumed training needs; a kill leaves the last one whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for prefix, module in (("model", model), ("average", average)):
        tensors |= {f"{prefix}/{n}": p.detach().clone() for n, p in module.named_parameters()}
    for i, optimizer in enumerate(optimizers):
        for j, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                tensors[f"optimizer/{i}/{j}/{name}"] = torch.as_tensor(value).clone()
    temporary = folder / "checkpoint.tmp"
    save_file(tensors, temporary, metadata={"progress": json.dumps(asdict(progress))})
    os.replace(temporary, folder / "checkpoint.safetensors")


def load_checkpoint(
    folder: Path,
    model: nn.Module,
    average: nn.Module,
    optimizers: list[torch.optim.Optimizer],
) -> Progress | None:
    """Restore the checkpoint in `folder`; None if there is none."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return None
    tensors = load_file(path)
    with torch.no_grad():
        for prefix, module in (("model", model), ("average", average)):
            for name, p in module.named_parameters():
                p.copy_(tensors[f"{prefix}/{name}"])
    for i, optimizer in enumerate(optimizers):
        state = optimizer.state_dict()
        state["state"] = {}
        for key, value in tensors.items():
            parts = key.split("/")
            if parts[:2] == ["optimizer", str(i)]:
                state["state"].setdefault(int(parts[2]), {})[parts[3]] = value
        optimizer.load_state_dict(state)
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    return Progress(**json.loads(header["__metadata__"]["progress"]))


def export_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a bf16 Hugging Face folder that vLLM and transformers load."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16).save_pretrained(temporary)  # type: ignore[arg-type]
    save_tokenizer(tokenizer, temporary)
    folder.mkdir(exist_ok=True)
    for path in temporary.iterdir():
        path.chmod(0o644)
        os.replace(path, folder / path.name)
    temporary.rmdir()


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the tokenizer under the class name that transformers 4 and 5 both know."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config = {k: v for k, v in config.items() if k not in ("is_local", "local_files_only")}
    config |= {"tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
