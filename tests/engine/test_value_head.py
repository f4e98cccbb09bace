"""A value head on Qwen2 (Skywork's reward models) in the real vLLM, against plain transformers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tts import prompts
from tts.bundled import resolve
from tts.engine.vllm import VLLMEngine
from tts.types import Problem, ScoreRequest

PROBLEM = Problem(id="p", statement="Start with 17.\nMultiply by 3.")
STEPS = ("17 * 3 = 51\nthat is 51", "\\boxed{51}")


def save_random_model(folder: Path) -> Any:
    """Write a checkpoint as Skywork's are, with their names of weights; returns the model."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(resolve("bundled:prm"))
    tokenizer.bos_token = "<|endoftext|>"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=512,
    )  # fmt: skip
    model = transformers.Qwen2ForCausalLM(config).float().eval()
    model.value = torch.nn.Linear(64, 1)
    torch.nn.init.normal_(model.value.weight)
    weights = {
        name.replace("value.", "v_head.summary."): value.contiguous()
        for name, value in model.state_dict().items()
    }
    save = pytest.importorskip("safetensors.torch").save_file
    save(weights, folder / "model.safetensors", metadata={"format": "pt"})
    written = config.to_dict() | {"architectures": ["Qwen2ForPrmModel"], "dtype": "float32"}
    # Not "qwen2", for which transformers splits texts its own way, whatever the tokenizer's file.
    written |= {"model_type": "qwen3", "head_dim": 32}
    (folder / "config.json").write_text(json.dumps(written, default=str))
    return model


def expected(model: Any, folder: Path) -> list[float]:
    """Score as Skywork's own inference code does: a newline token after every line."""
    torch = pytest.importorskip("torch")
    tokenizer = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(folder)
    (newline,) = tokenizer.encode("\n")
    ids = tokenizer.encode(tokenizer.bos_token + PROBLEM.statement + "\n")
    ends = []
    for line in "\n".join(STEPS).split("\n"):
        ids += [*tokenizer.encode(line), newline]
        ends.append(len(ids) - 1)
    with torch.no_grad():
        states = model.model(torch.tensor([ids])).last_hidden_state[0]
        values: list[float] = torch.sigmoid(model.value(states[ends]))[:, 0].tolist()
    return values


@pytest.mark.slow
def test_scores_are_those_of_the_head_at_the_last_line_of_each_step(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    model = save_random_model(tmp_path)
    request = ScoreRequest(prompts.reward(PROBLEM, STEPS), prompts.STEP_TAG)

    async def main() -> tuple[float, ...]:
        engine = VLLMEngine(tmp_path, runner="pooling", dtype="float32", cpu_threads=1)
        scores = await engine.score(request)
        await engine.aclose()
        return scores.values

    values = asyncio.run(asyncio.wait_for(main(), 120))
    first, second, third = expected(model, tmp_path)
    assert values == pytest.approx((second, third), abs=1e-5)
    assert abs(first - second) > 1e-3
