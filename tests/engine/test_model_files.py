"""Folders that are no model, or no whole one, are refused in one sentence before anything loads."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.models import write_model, write_weights
from tts.engine import hub
from tts.engine.build import find_model
from tts.engine.choices import check_memory, default_threads, describe, fill_in
from tts.engine.machine import Machine
from tts.engine.model_files import ModelFiles
from tts.engine.vllm import VLLMEngine
from tts.errors import ModelError

REAL = os.environ.get("TTS_MODEL_DIR")
NO_MODELS = pytest.mark.skipif(REAL is None, reason="TTS_MODEL_DIR names no folder of models")


def look(folder: Path | str, **options: object) -> ModelFiles:
    files = find_model(str(folder), options)
    assert files is not None
    return files


def refusal(folder: Path | str) -> str:
    with pytest.raises(ModelError) as raised:
        find_model(str(folder), {})
    text = str(raised.value)
    assert "\n" not in text
    return text


def test_a_whole_model_tells_its_shape(tmp_path: Path) -> None:
    files = look(write_model(tmp_path / "m"))
    # Keys and values of 2 layers and 2 heads of 64 / 4 elements of 2 bytes.
    assert files.kv_bytes(2) == 2 * 2 * 2 * 16 * 2
    assert (files.dtype, files.context_tokens) == ("bfloat16", 4096)
    assert files.weight_bytes == (tmp_path / "m" / "model.safetensors").stat().st_size


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def adapter(folder: Path) -> None:
    no_config(folder)
    told = {"base_model_name_or_path": "meta/base", "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(told))


def gguf(folder: Path) -> None:
    no_config(folder)
    (folder / "m-q4.gguf").write_bytes(b"GGUF")


def nested(folder: Path) -> None:
    inner = folder / "snapshots" / "abc"
    inner.mkdir(parents=True)
    (folder / "config.json").rename(inner / "config.json")


def text_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def other_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"_class_name": "Pipeline"}')


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def missing_part(folder: Path) -> None:
    names = {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid 1\n")


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_config, "holds config.json, weights, tokenizer"),
        (adapter, "holds a LoRA adapter of meta/base, and no model: merge it"),
        (gguf, "m-q4.gguf is a GGUF file, which vLLM cannot read: serve it (llama-server"),
        (nested, "config.json lies in"),
        (text_config, "config.json cannot be read"),
        (other_config, "describes no model"),
        (no_tokenizer, "has no tokenizer (tokenizer.json or tokenizer.model)"),
        (no_weights, "has no weights"),
        (missing_part, "lacks 1 of 2 files of weights, such as model-00002-of-00002.safetensors"),
        (pointer, "only points to the weights: fetch them with `git lfs pull`"),
        (cut_off, "is cut off or damaged"),
    ],
)
def test_what_is_no_whole_model_says_so(
    damage: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "m")
    damage(folder)
    assert words in refusal(folder)
    with pytest.raises(ModelError):
        VLLMEngine(folder)  # the same, and nothing is loaded


def test_a_path_that_is_no_folder_says_what_may_be_meant(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "qwen-coder")
    assert refusal(tmp_path / "qwen-codr").endswith(f"did you mean {folder}?")
    assert "give the folder that holds config.json" in refusal(folder / "model.safetensors")
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    assert "is a GGUF file" in refusal(tmp_path / "x.gguf")
    assert "is a GGUF file" in refusal("x.gguf")
    assert "there is no such folder" in refusal("./nowhere")


def test_options_may_stand_for_what_is_missing(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    no_tokenizer(folder)
    no_weights(folder)
    assert look(folder, tokenizer="elsewhere", load_format="dummy").weight_bytes == 0


def test_a_name_of_the_hub_that_cannot_be_fetched_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(hub, "unreachable_hub", lambda: "huggingface.co")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(ModelError, match=r"no such folder here.*huggingface.co cannot be reached"):
        hub.check_hub_model("nobody/knows-this")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids"):
        hub.check_hub_model("nobody/knows-this")
    with pytest.raises(ModelError, match="a name on the hub is OWNER/NAME"):
        hub.check_hub_model("knows-this")


# What is chosen.

GIB = 2**30
CPU = Machine(cores=8, free_bytes=16 * GIB, has_bfloat16=True)


def heavy(tmp_path: Path, gib: int, **config: Any) -> ModelFiles:
    folder = write_model(tmp_path / f"m{gib}", **config)
    write_weights(folder / "model.safetensors", gib * GIB)
    return look(folder)


def test_weights_larger_than_memory_are_refused(tmp_path: Path) -> None:
    files = heavy(tmp_path, 12)
    check_memory(files, CPU, {})
    with pytest.raises(ModelError, match=r"24.0 GiB of weights \(float32\), more than the 16"):
        check_memory(files, CPU, {"dtype": "float32"})
    # A CPU without bfloat16 holds them as float32.
    with pytest.raises(ModelError, match="float32"):
        check_memory(files, Machine(8, 16 * GIB, has_bfloat16=False), {"dtype": "auto"})
    cards = Machine(8, 16 * GIB, has_bfloat16=True, gpu_bytes=(8 * GIB, 8 * GIB))
    with pytest.raises(ModelError, match=r"more than the 8.0 GiB of 1 GPU here"):
        check_memory(files, cards, {})
    check_memory(files, cards, {"tensor_parallel_size": 2})
    quantised = heavy(tmp_path, 15, quantization_config={"bits": 4})
    check_memory(quantised, CPU, {"dtype": "float32"})


def test_what_was_not_said_is_chosen_by_model_and_machine(tmp_path: Path) -> None:
    small, large = look(write_model(tmp_path / "s")), heavy(tmp_path, 2)
    assert (default_threads(small, CPU), default_threads(large, CPU)) == (1, 8)
    assert default_threads(None, CPU) == 8
    for files, on_cpu, chosen in (
        (small, True, (256, -1)),  # -1 is the model's own context, as far as the cache holds it
        (large, True, (128, -1)),
        (heavy(tmp_path, 3, max_position_embeddings=131_072), True, (128, 32_768)),
        (large, False, (256, -1)),
        (None, True, (128, -1)),
    ):
        arguments: dict[str, Any] = {
            "runner": "generate",
            "max_num_seqs": None,
            "max_model_len": None,
        }
        fill_in(arguments, files, on_cpu=on_cpu)
        assert (arguments["max_num_seqs"], arguments["max_model_len"]) == chosen
    given = {"runner": "pooling", "max_num_seqs": 7, "max_model_len": None}
    fill_in(given, large, on_cpu=True)
    assert given == {"runner": "pooling", "max_num_seqs": 7, "max_model_len": None}


def test_what_an_engine_runs_with_is_one_line(tmp_path: Path) -> None:
    settings = {"dtype": "bfloat16", "max_model_len": 32_768, "max_num_seqs": 128}
    on_cpu = {**settings, "kv_cache_memory_bytes": GIB, "cpu_threads": 2}
    assert describe(on_cpu, heavy(tmp_path, 2)) == (
        "bfloat16, 2 GiB of weights, 2 threads, context 32,768, 128 completions at once, "
        "KV cache 1 GiB"
    )
    on_gpu = {**settings, "gpu_memory_utilization": 0.9}
    assert describe(on_gpu, None).endswith("128 completions at once, 90% of the GPU's memory")


@NO_MODELS
@pytest.mark.parametrize("name", ["qwen2.5-coder-0.5b", "smollm2-135m"])
def test_real_models_are_whole_and_damage_to_them_is_seen(name: str, tmp_path: Path) -> None:
    real = Path(str(REAL)) / name
    if not real.is_dir():
        pytest.skip(f"TTS_MODEL_DIR has no {name}")
    files = look(real)
    assert files.dtype == "bfloat16" and files.chat_template()
    assert (files.context_tokens or 0) >= 8192 and (files.kv_bytes(2) or 0) > 10_000
    copy = tmp_path / name
    copy.mkdir()
    for file in real.iterdir():
        if file.suffix != ".safetensors":
            (copy / file.name).symlink_to(file)
    with (real / "model.safetensors").open("rb") as weights:
        (copy / "model.safetensors").write_bytes(weights.read(2**20))
    assert "is cut off or damaged (1,048,576 of" in refusal(copy)
