"""The process reward model: a Qwen2 trunk, two classes at each step tag."""

import json
import logging
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2Model, Qwen3ForCausalLM

from tts.bundled.checkpoint import save_tokenizer
from tts.bundled.optim import build_optimizers, rate
from tts.bundled.prm_data import Row, draw_row
from tts.prompts import STEP_TAG

log = logging.getLogger(__name__)
LANGUAGE_WEIGHT = 0.2  # of the auxiliary next-token loss on right steps


class RewardModel(nn.Module):
    """What vLLM calls Qwen2ForProcessRewardModel; weights have its names."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.model = Qwen2Model(config)
        width = config.hidden_size
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))

    def forward(self, ids: Tensor) -> Tensor:
        """Return hidden states [B, T, width] of right-padded ids [B, T]."""
        states = self.model(input_ids=ids, use_cache=False).last_hidden_state
        assert isinstance(states, Tensor), "the trunk returns its last states"
        return states


@torch.no_grad()
def start_from_policy(
    reward: RewardModel, policy: Qwen3ForCausalLM, ids: Tensor, tag: int, newline: int
) -> None:
    """Take over the policy's weights.

    Qwen3 normalises each query and key, Qwen2 does not: the norm's weights and the mean size of
    queries and keys go into the projections (next-token loss 0.31 after it, where the policy had
    0.13), and training does the rest. The tag begins as the token that separates steps.

    Args:
        reward: Gets the weights.
        policy: Of the same width, layers and heads.
        ids: [B, T] texts on which sizes are measured; right-padding does little harm.
        tag: Id of the step tag.
        newline: Id of the blank line.
    """
    sizes = _norm_inputs(policy, ids)
    weights, own = policy.state_dict(), reward.model.state_dict()
    for name, value in weights.items():
        if (short := name.removeprefix("model.")) in own:
            own[short].copy_(value)
    for name, size in sizes.items():
        base = name.removeprefix("model.").removesuffix("_norm")
        scale = weights[f"{name}.weight"][None, :] / size[:, None]
        own[f"{base}_proj.weight"].mul_(scale.flatten()[:, None])
        own[f"{base}_proj.bias"].zero_()
    table = own["embed_tokens.weight"]
    table[tag] = table[newline]


def _norm_inputs(policy: Qwen3ForCausalLM, ids: Tensor) -> dict[str, Tensor]:
    """Return the mean root mean square of each head's queries and keys, by name of the norm."""
    sizes: dict[str, Tensor] = {}
    hooks = []
    for name, module in policy.named_modules():
        if name.endswith(("q_norm", "k_norm")):

            def keep(_: nn.Module, args: tuple[Tensor], __: Tensor, name: str = name) -> None:
                sizes[name] = args[0].pow(2).mean(-1).sqrt().mean((0, 1))

            hooks.append(module.register_forward_hook(keep))
    policy.model(input_ids=ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    return sizes


@dataclass(frozen=True, slots=True)
class RewardPlan:
    """How long and how to train.

    Attributes:
        minutes: Training time.
        batch_tokens: Padded tokens of a batch.
        lr: Muon's learning rate.
        seed: Of the synthetic steps and the order.
        own_from: Share of the time after which most rows are the policy's own.
    """

    minutes: float
    batch_tokens: int = 6144
    lr: float = 0.01
    seed: int = 1
    own_from: float = 0.4


def reward_loss(
    model: RewardModel, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]
) -> Tensor:
    """Return the loss at the tags, plus a little next-token loss on right steps."""
    (tag,) = tokenizer(STEP_TAG)["input_ids"]
    encoded = tokenizer([row.text for row in rows], return_offsets_mapping=True)
    longest = max(map(len, encoded["input_ids"]))
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id or 0)
    labels = torch.full(ids.shape, -100)
    language = torch.full(ids.shape, -100)
    for i, row in enumerate(rows):
        line = torch.tensor(encoded["input_ids"][i])
        ids[i, : len(line)] = line
        places = torch.eq(line, tag).nonzero().flatten()
        labels[i, places] = torch.tensor(row.labels).long()
        if right := sum(row.labels):
            starts = (start for start, _ in encoded["offset_mapping"][i])
            first = sum(start < row.response_start for start in starts)
            last = int(places[right - 1])
            language[i, first:last] = line[first:last]
    states = model(ids)
    tags, words = labels != -100, language[:, 1:] != -100
    scored = nn.functional.cross_entropy(model.score(states[tags]), labels[tags])
    if not words.any():
        return scored
    logits = states[:, :-1][words] @ model.model.embed_tokens.weight.T
    return scored + LANGUAGE_WEIGHT * nn.functional.cross_entropy(logits, language[:, 1:][words])


def train_reward_model(
    model: RewardModel,
    tokenizer: PreTrainedTokenizerFast,
    own: Sequence[Row],
    plan: RewardPlan,
) -> None:
    """Train on synthetic steps first, on the policy's own steps in the end."""
    optimizers = build_optimizers(model, plan.lr)
    rates = [[g["lr"] for g in o.param_groups] for o in optimizers]
    rng = random.Random(plan.seed)
    begun, step, mean = time.monotonic(), 0, 0.7
    while (share := (time.monotonic() - begun) / (plan.minutes * 60)) < 1:
        fraction = 0.8 if share > plan.own_from else 0.2
        pool = [
            rng.choice(own) if own and rng.random() < fraction else draw_row(rng)
            for _ in range(512)
        ]
        pool.sort(key=lambda row: len(row.text))
        for rows in _groups(pool, plan.batch_tokens, rng):
            factor = rate(share, step)
            for optimizer, base in zip(optimizers, rates, strict=True):
                for group, lr in zip(optimizer.param_groups, base, strict=True):
                    group["lr"] = lr * factor
            loss = reward_loss(model, tokenizer, rows)
            torch.autograd.backward([loss])
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            step, mean = step + 1, 0.98 * mean + 0.02 * loss.item()
            if step % 50 == 0:
                log.info("step %d, %.0f %% of the time, loss %.4f", step, 100 * share, mean)


def _groups(pool: list[Row], batch_tokens: int, rng: random.Random) -> list[list[Row]]:
    """Cut a sorted pool into batches; a token is about 1.6 characters."""
    groups: list[list[Row]] = [[]]
    for row in pool:
        if groups[-1] and (len(groups[-1]) + 1) * len(row.text) > 1.6 * batch_tokens:
            groups.append([])
        groups[-1].append(row)
    rng.shuffle(groups)
    return groups


@torch.no_grad()
def _centre(model: RewardModel) -> None:
    """Make the logit of the wrong class 0, which changes no probability.

    vLLM 0.32 cuts out `returned_token_ids` before its activation: asked for the right class alone,
    it gives the sigmoid of that logit, and with this that is the softmax too.
    """
    last = model.score[2]
    assert isinstance(last, nn.Linear), "the second layer of the head"
    for p in last.parameters():
        p.sub_(p[0].clone())


def export_reward_model(
    model: RewardModel, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write a bf16 folder for vLLM's pooling runner."""
    folder.mkdir(parents=True, exist_ok=True)
    _centre(model)
    tensors = {n: p.detach().to(torch.bfloat16).contiguous() for n, p in model.named_parameters()}
    temporary = folder / "model.safetensors.tmp"
    save_file(tensors, temporary, metadata={"format": "pt"})
    temporary.chmod(0o644)
    os.replace(temporary, folder / "model.safetensors")
    config = model.model.config.to_dict() | {
        "architectures": ["Qwen2ForProcessRewardModel"],
        "dtype": "bfloat16",
        "num_labels": 2,
    }
    text = json.dumps(config, indent=2, sort_keys=True, default=str) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
    save_tokenizer(tokenizer, folder)
