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
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2Model, Qwen3ForCausalLM

from tts.bundled.checkpoint import save_tokenizer
from tts.bundled.models import NEW_LAYERS
from tts.bundled.optim import Muon, rate
from tts.bundled.prm_data import Row, draw_row
from tts.prompts import STEP_TAG

log = logging.getLogger(__name__)
TOKEN_WEIGHT = 1.0  # of the loss at tokens that are no tags
LANGUAGE_WEIGHT = 1.0  # of the next-token loss on right steps, which keeps the policy's knowledge


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
        policy: Of the same width and heads, with as many layers or fewer.
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
    for index in range(policy.config.num_hidden_layers, reward.model.config.num_hidden_layers):
        # Without effect at first. The policy's last layer knows what should come next; these
        # compare it with what came.
        own[f"layers.{index}.self_attn.o_proj.weight"].zero_()
        own[f"layers.{index}.mlp.down_proj.weight"].zero_()
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
    own_from: float = 0.3


def reward_loss(
    model: RewardModel, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]
) -> tuple[Tensor, Tensor]:
    """Return the loss at the tags, and it with those of the auxiliary tasks.

    Those are: is the text right up to here, at every token, which finds the comparison with what
    should have come far sooner than the tags alone; and a little next-token loss on right steps.
    """
    encoded = tokenizer([row.text for row in rows], return_offsets_mapping=True)
    (tag,) = tokenizer(STEP_TAG)["input_ids"]
    longest = max(map(len, encoded["input_ids"]))
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id or 0)
    labels = torch.full(ids.shape, -100)
    for i, row in enumerate(rows):
        line = torch.tensor(encoded["input_ids"][i])
        ids[i, : len(line)] = line
        begins = torch.tensor(encoded["offset_mapping"][i])[:, 0]
        right = (begins >= row.response_start) & (begins < row.right_until)
        labels[i, : len(line)][right] = 1
        labels[i, : len(line)][begins >= row.wrong_from] = 0
        labels[i, : len(line)][torch.eq(line, tag)] = torch.tensor(row.labels).long()
    states = model(ids)
    is_tag = torch.eq(ids, tag)
    others = (labels != -100) & ~is_tag
    at_tags = nn.functional.cross_entropy(model.score(states[is_tag]), labels[is_tag])
    elsewhere = nn.functional.cross_entropy(model.score(states[others]), labels[others])
    words = (labels[:, 1:] == 1) & ~is_tag[:, :-1]
    logits = states[:, :-1][words] @ model.model.embed_tokens.weight.T
    language = nn.functional.cross_entropy(logits, ids[:, 1:][words])
    return at_tags, at_tags + TOKEN_WEIGHT * elsewhere + LANGUAGE_WEIGHT * language


def train_reward_model(
    model: RewardModel,
    tokenizer: PreTrainedTokenizerFast,
    own: Sequence[Row],
    plan: RewardPlan,
) -> None:
    """Train on synthetic steps first, on the policy's own steps in the end."""
    optimizers = _build_optimizers(model, plan.lr)
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
            at_tags, loss = reward_loss(model, tokenizer, rows)
            torch.autograd.backward([loss])
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            step, mean = step + 1, 0.95 * mean + 0.05 * at_tags.item()
            if step % 25 == 0:
                log.info("step %d, %.0f %% of the time, tags %.4f", step, 100 * share, mean)


def _build_optimizers(model: RewardModel, lr: float) -> list[torch.optim.Optimizer]:
    """Return a slow pace for what the policy knew, a tenfold one for the layers above it.

    At the full pace Muon, whose steps do not shrink with the gradient, wipes out the policy's
    arithmetic before the tags have taught anything: their loss stayed at that of a constant.
    """
    layers = list(model.model.layers)
    old = [p for layer in layers[:-NEW_LAYERS] for p in layer.parameters()]
    new = [p for layer in layers[-NEW_LAYERS:] for p in layer.parameters()]
    rest = [p for n, p in model.model.named_parameters() if not n.startswith("layers.")]

    def matrices(params: list[nn.Parameter]) -> list[nn.Parameter]:
        return [p for p in params if p.ndim == 2]

    vectors = [p for p in old + new if p.ndim == 1]
    return [
        Muon(matrices(old), lr=lr / 10),
        Muon(matrices(new), lr=lr),
        torch.optim.AdamW(rest + vectors, lr=lr / 40, weight_decay=0.0),
        torch.optim.AdamW(model.score.parameters(), lr=lr / 5, weight_decay=0.0),
    ]


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
def load_reward_weights(model: RewardModel, folder: Path) -> None:
    """Take up an exported model's weights."""
    tensors = load_file(folder / "model.safetensors")
    for name, p in model.named_parameters():
        p.copy_(tensors[name])


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
        # Of type qwen2, transformers 5 would split texts as Qwen2 does, whatever tokenizer.json
        # says. vLLM takes the architecture above either way.
        "model_type": "qwen3",
        "head_dim": model.model.config.hidden_size // model.model.config.num_attention_heads,
        "dtype": "bfloat16",
        "num_labels": 2,
    }
    text = json.dumps(config, indent=2, sort_keys=True, default=str) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
    save_tokenizer(tokenizer, folder)
