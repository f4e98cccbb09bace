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
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2Model

from tts.bundled.checkpoint import save_tokenizer
from tts.bundled.corpus import Tried, draw_task
from tts.bundled.models import NEW_LAYERS
from tts.bundled.optim import Descent, Muon, build_optimizers, rate
from tts.bundled.prm_data import CHAIN_SHARE, Row, build_row, draw_pair, draw_row, draw_slips
from tts.bundled.prm_start import install_comparison
from tts.prompts import STEP_TAG

log = logging.getLogger(__name__)
POOL = 512  # rows that are sorted by length together
WRITE_PACE = 20.0  # of what the new layers write, relative to the usual rate
DECAY_FROM = 0.2  # share of the time after which the rate falls
MARK_WEIGHT = 1.0  # of the loss at marks: is this digit right, given what stands before it
TOKEN_WEIGHT = 1.0  # of the loss at tokens that are no tags
LANGUAGE_WEIGHT = 3.0  # of the next-token loss on right steps, which keeps the policy's knowledge


class RewardModel(nn.Module):
    """What vLLM calls Qwen2ForProcessRewardModel; weights have its names."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.model = Qwen2Model(config)
        width = config.hidden_size
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
        self.local = nn.Linear(width, 2)  # for training alone

    def forward(self, ids: Tensor) -> Tensor:
        """Return hidden states [B, T, width] of right-padded ids [B, T]."""
        states = self.model(input_ids=ids, use_cache=False).last_hidden_state
        assert isinstance(states, Tensor), "the trunk returns its last states"
        return states


@dataclass(frozen=True, slots=True)
class RewardPlan:
    """How long and how to train.

    Attributes:
        minutes: Training time.
        batch_tokens: Padded tokens of a batch.
        lr: Muon's learning rate.
        seed: Of the synthetic steps and the order.
        slips_until: Share of the time in which half the rows are steps with slips.
        pairs_until: Share of the time in which rows come in pairs, a right and a wrong attempt.
    """

    minutes: float
    batch_tokens: int = 6144
    lr: float = 0.01
    seed: int = 1
    slips_until: float = 0.5
    pairs_until: float = 0.75


def encode_rows(
    tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ids, labels of tokens, labels of marks (-100: none) and what is a tag, all [B, T]."""
    encoded = tokenizer([row.text for row in rows], return_offsets_mapping=True)
    (tag,) = tokenizer(STEP_TAG)["input_ids"]
    longest = max(map(len, encoded["input_ids"]))
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id or 0)
    labels = torch.full(ids.shape, -100)
    marks = torch.full(ids.shape, -100)
    for i, row in enumerate(rows):
        line = torch.tensor(encoded["input_ids"][i])
        ids[i, : len(line)] = line
        begins = torch.tensor(encoded["offset_mapping"][i])[:, 0]
        right = (begins >= row.response_start) & (begins < row.right_until)
        labels[i, : len(line)][right] = 1
        labels[i, : len(line)][begins >= row.wrong_from] = 0
        for place, is_right in row.marks:
            marks[i, : len(line)][begins == place] = int(is_right)
        labels[i, : len(line)][torch.eq(line, tag)] = torch.tensor(row.labels).long()
    return ids, labels, marks, torch.eq(ids, tag)


def reward_loss(
    model: RewardModel, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]
) -> tuple[Tensor, Tensor]:
    """Return the losses [4] at tags, elsewhere, at marks and of next tokens, and their sum.

    Those after the first: is the text right up to here, at every token; is this digit right, given
    what stands before it; and the next token on right steps, which keeps the policy's knowledge.
    """
    device = next(model.parameters()).device
    ids, labels, marks, is_tag = (t.to(device) for t in encode_rows(tokenizer, rows))
    states = model(ids)
    others = (labels != -100) & ~is_tag
    cross_entropy = nn.functional.cross_entropy
    at_tags = cross_entropy(model.score(states[is_tag]), labels[is_tag])
    elsewhere = cross_entropy(model.score(states[others]), labels[others])
    marked = marks != -100
    at_marks = (
        cross_entropy(model.local(states[marked]), marks[marked])
        if marked.any()
        else states.sum() * 0
    )
    words = (labels[:, 1:] == 1) & ~is_tag[:, :-1]
    logits = states[:, :-1][words] @ model.model.embed_tokens.weight.T
    language = cross_entropy(logits, ids[:, 1:][words])
    total = at_tags + TOKEN_WEIGHT * elsewhere + MARK_WEIGHT * at_marks + LANGUAGE_WEIGHT * language
    return torch.stack([at_tags, elsewhere, at_marks, language]).detach(), total


def train_reward_model(
    model: RewardModel,
    tokenizer: PreTrainedTokenizerFast,
    tried: Sequence[Tried],
    plan: RewardPlan,
) -> None:
    """Train on pairs first, which teach to compare, then on attempts as they fall.

    Without the pairs the model learned how hard a step is for the policy, not whether it is right:
    the same score for every result of a hard sum.
    """
    rng = random.Random(plan.seed)
    descent = Descent(_build_optimizers(model, plan.lr))
    begun, step, mean = time.monotonic(), 0, torch.full((4,), 0.7)
    while (share := (time.monotonic() - begun) / (plan.minutes * 60)) < 1:
        pool = _draw_pool(rng, tried, plan, share)
        pool.sort(key=lambda row: len(row.text))
        for rows in _groups(pool, plan.batch_tokens, rng):
            factor = rate(share, step, decay_from=DECAY_FROM)
            descent.set_rate(factor)
            losses, loss = reward_loss(model, tokenizer, rows)
            descent.step(loss, max_norm=1.0)
            step, mean = step + 1, mean.lerp(losses.cpu(), 0.05)
            if step % 25 == 0:
                log.info(
                    "step %d, %.0f %% of the time, tags %.4f, tokens %.4f, marks %.4f, next %.4f",
                    step, 100 * share, *mean.tolist(),
                )  # fmt: skip


def recover(
    model: RewardModel, tokenizer: PreTrainedTokenizerFast, plan: RewardPlan, steps: int = 80
) -> None:
    """Mend what the copy of the policy lost, by next tokens; then install the comparison."""
    rng = random.Random(f"recover/{plan.seed}")
    new = list(model.model.layers)[-NEW_LAYERS:]
    for layer in new:
        layer.requires_grad_(False)
    descent = Descent(build_optimizers(model, plan.lr))
    tasks = (draw_task(rng, CHAIN_SHARE) for _ in range(POOL))
    rows = [row for task in tasks if (row := build_row(task.problem, task.solution))]
    rows.sort(key=lambda row: len(row.text))
    done = 0
    while done < steps:
        for group in _groups(rows, plan.batch_tokens, rng):
            _, loss = reward_loss(model, tokenizer, group)
            descent.step(loss)
            done += 1
    for layer in new:
        layer.requires_grad_(True)
    texts = [row.text for row in rng.sample(rows, 128)]
    ids = torch.tensor(tokenizer(texts, padding=True)["input_ids"])
    digits = [tokenizer(str(d))["input_ids"][0] for d in range(10)]
    shares = install_comparison(model.model, len(model.model.layers) - NEW_LAYERS, ids, digits)
    log.info("comparison reads %.2f of the digit that came, %.2f of the expected one", *shares)


def _build_optimizers(model: RewardModel, lr: float) -> list[torch.optim.Optimizer]:
    """Return the usual pair, and a faster pace for what the new layers write.

    The policy's residual has a root mean square of about 80; at the usual pace what new layers
    add to it would stay too small to be seen for thousands of steps.
    """
    writes = [
        p
        for layer in list(model.model.layers)[-NEW_LAYERS:]
        for n, p in layer.named_parameters()
        if n in ("self_attn.o_proj.weight", "mlp.down_proj.weight")
    ]
    chosen = {id(p) for p in writes}
    muon, adam = build_optimizers(model, lr)
    kept = [p for p in muon.param_groups[0]["params"] if id(p) not in chosen]
    return [Muon(kept, lr=lr), Muon(writes, lr=WRITE_PACE * lr), adam]


def _draw_pool(
    rng: random.Random, tried: Sequence[Tried], plan: RewardPlan, share: float
) -> list[Row]:
    pool: list[Row] = []
    while len(pool) < POOL:
        if share > plan.pairs_until:
            rows = [draw_row(rng, tried)]
        elif share < plan.slips_until and rng.random() < 0.5:
            rows = [draw_slips(rng)]
        else:
            rows = [*draw_pair(rng, tried)]
        pool.extend(row for row in rows if row is not None)
    return pool


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
        if name in tensors:
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
    tensors = {
        n: p.detach().to("cpu", torch.bfloat16).contiguous()
        for n, p in model.named_parameters()
        if not n.startswith("local.")
    }
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
