"""What lies in a model's folder, read in milliseconds; what cannot be loaded is refused at once."""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.errors import ModelError

_CONFIG = "config.json"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth")
_LFS = b"version https://git-lfs"
_HEADER_BYTES = 8  # of a safetensors file: the length of its table
# Files up to this size are hashed whole; of larger ones the size and both ends.
_WHOLE_FILE_BYTES = 64 * 2**20
_END_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model that has not been loaded.

    Attributes:
        folder: Its files.
        config: What its config.json says, of the language model in it where it has several parts.
        weight_bytes: Of its weights as they are stored; 0 where there are none.
    """

    folder: Path
    config: Mapping[str, Any]
    weight_bytes: int

    @property
    def dtype(self) -> str:
        """Of the weights, such as "bfloat16"; empty where the configuration does not say."""
        return str(self.config.get("dtype") or self.config.get("torch_dtype") or "")

    @property
    def context_tokens(self) -> int | None:
        """Longest prompt plus completion; None where the configuration does not say."""
        return self._number("max_position_embeddings") or self._number("n_positions")

    @property
    def is_quantized(self) -> bool:
        """Whether the weights are in a form of their own, which stays as it is in memory."""
        return "quantization_config" in self.config

    def kv_bytes(self, element_bytes: int) -> int | None:
        """Return the bytes of keys and values of one token; None for an unknown shape."""
        layers, heads = self._number("num_hidden_layers"), self._number("num_attention_heads")
        width = self._number("hidden_size")
        if not (layers and heads and width):
            return None
        kv_heads = self._number("num_key_value_heads") or heads
        head_size = self._number("head_dim") or width // heads
        return 2 * layers * kv_heads * head_size * element_bytes

    def chat_template(self) -> str:
        """Return the template that the tokenizer would take; empty for none."""
        own = self.folder / "chat_template.jinja"
        if own.is_file():
            return own.read_text(encoding="utf-8")
        given = _read(self.folder / "tokenizer_config.json").get("chat_template")
        if isinstance(given, list):  # several, by name
            named = {one.get("name"): one.get("template") for one in given if isinstance(one, dict)}
            given = named.get("default")
        return given if isinstance(given, str) else ""

    def special_tokens(self) -> dict[str, str]:
        """Return the tokens that templates name, such as `bos_token`."""
        found = _read(self.folder / "tokenizer_config.json")
        texts = {
            name: value.get("content") if isinstance(value, dict) else value
            for name, value in found.items()
            if name.endswith("_token")
        }
        return {name: text for name, text in texts.items() if isinstance(text, str)}

    def _number(self, name: str) -> int | None:
        value = self.config.get(name)
        return value if isinstance(value, int) and value > 0 else None


def read_model_files(folder: Path, options: Mapping[str, Any]) -> ModelFiles:
    """Look at a folder before anything of it is loaded.

    Args:
        folder: Of the model.
        options: Of the engine; its `tokenizer` and `load_format` may stand for what is missing.

    Raises:
        ModelError: It holds no whole model; the message says what is missing, and what to do.
    """
    _check_folder(folder)
    config = _read_config(folder / _CONFIG)
    if options.get("tokenizer") is None and not _has_any(folder, _TOKENIZERS):
        raise ModelError(
            f"{folder} has no tokenizer ({_TOKENIZERS[0]} or {_TOKENIZERS[1]}): copy it from where "
            "the model comes from, or give its folder with --engine-arg tokenizer=FOLDER"
        )
    is_made_up = options.get("load_format") == "dummy"
    return ModelFiles(folder, config, 0 if is_made_up else _weight_bytes(folder))


def folder_digest(folder: Path) -> str:
    """Return a hash of the model's files, by name and content, the same on every machine."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            digest.update(repr((file.name, file.stat().st_size)).encode())
            for part in _ends(file):
                digest.update(part)
    return digest.hexdigest()


def refuse_path(model: str) -> ModelError:
    """Return why there is no model at a path that is no folder, and what may be meant."""
    path = Path(model).expanduser()
    if path.suffix == ".gguf":
        return _refuse_gguf(path)
    if path.is_file():
        return ModelError(f"{path} is a file: give the folder that holds {_CONFIG} beside it")
    here = path.parent if path.parent.is_dir() else None
    names = [one.name for one in here.iterdir() if one.is_dir()] if here else []
    near = difflib.get_close_matches(path.name, names, n=1)
    hint = f"; did you mean {path.parent / near[0]}?" if near else ""
    return ModelError(f"no model at {model}: there is no such folder{hint}")


def _check_folder(folder: Path) -> None:
    """Refuse a folder without a configuration, saying what it holds instead."""
    if (folder / _CONFIG).is_file():
        return
    if (folder / "adapter_config.json").is_file():
        base = _read(folder / "adapter_config.json").get("base_model_name_or_path")
        raise ModelError(
            f"{folder} holds a LoRA adapter of {base or 'another model'}, and no model: merge it "
            "into that one (peft: PeftModel.from_pretrained(base, adapter).merge_and_unload()"
            ".save_pretrained(OUT)), copy the tokenizer beside it, and give OUT"
        )
    if found := sorted(folder.glob("*.gguf")):
        raise _refuse_gguf(found[0])
    if inner := sorted(folder.glob(f"*/{_CONFIG}")) or sorted(folder.glob(f"*/*/{_CONFIG}")):
        raise ModelError(f"no model at {folder}: {_CONFIG} lies in {inner[-1].parent}; give that")
    raise ModelError(f"no model at {folder}: a model's folder holds {_CONFIG}, weights, tokenizer")


def _refuse_gguf(file: Path) -> ModelError:
    return ModelError(
        f"{file} is a GGUF file, which vLLM cannot read: serve it (llama-server -m {file.name} "
        "--port 8080, then --model @http://localhost:8080/v1), give the original model's folder or "
        "name, or convert it (pip install gguf; transformers: AutoModelForCausalLM and "
        f"AutoTokenizer.from_pretrained({str(file.parent)!r}, gguf_file={file.name!r})"
        ".save_pretrained(OUT))"
    )


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict) or not (config.get("architectures") or "model_type" in config):
        raise ModelError(f"{path} describes no model: it has neither architectures nor model_type")
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else config


def _weight_bytes(folder: Path) -> int:
    """Return the size of the weights, all of which must be there, and whole."""
    index = folder / "model.safetensors.index.json"
    parts = set(_read(index).get("weight_map", {}).values())
    if missing := sorted(part for part in parts if not (folder / str(part)).is_file()):
        raise ModelError(
            f"{folder} lacks {len(missing)} of {len(parts)} files of weights, such as {missing[0]}:"
            " its download is not complete"
        )
    found = [sorted(folder.glob(pattern)) for pattern in _WEIGHTS]
    files: Sequence[Path] = next((files for files in found if files), [])
    if not files:
        raise ModelError(
            f"{folder} has no weights: a model's folder holds *.safetensors beside {_CONFIG}"
        )
    for file in files:
        _check_whole(file)
    return sum(file.stat().st_size for file in files)


def _check_whole(file: Path) -> None:
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(max(_HEADER_BYTES, len(_LFS)))
        if head.startswith(_LFS):
            raise ModelError(f"{file} only points to the weights: fetch them with `git lfs pull`")
        if file.suffix != ".safetensors":
            return
        length = int.from_bytes(head[:_HEADER_BYTES], "little")
        stream.seek(_HEADER_BYTES)
        try:
            table = json.loads(stream.read(length if length < size else 0))
            ends = [one["data_offsets"][1] for key, one in table.items() if key != "__metadata__"]
            expected = _HEADER_BYTES + length + max(ends, default=0)
        except (ValueError, KeyError, TypeError, AttributeError):
            expected = -1
    if size < expected or expected < 0:
        told = f"{size:,} of {expected:,} bytes" if expected > 0 else f"{size:,} bytes"
        raise ModelError(f"{file} is cut off or damaged ({told}): fetch it again")


def _has_any(folder: Path, names: Sequence[str]) -> bool:
    return any((folder / name).is_file() for name in names)


def _read(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; empty where it is missing or holds something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ends(file: Path) -> Sequence[bytes]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        if size <= _WHOLE_FILE_BYTES:
            return (stream.read(),)
        first = stream.read(_END_BYTES)
        stream.seek(size - _END_BYTES)
        return (first, stream.read())
