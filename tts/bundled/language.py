"""Training of language models on a stream of examples."""

import logging
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from tts.bundled.checkpoint import Progress, load_checkpoint, save_checkpoint
from tts.bundled.corpus import Example
from tts.bundled.optim import Descent, build_optimizers, rate

log = logging.getLogger(__name__)
POOL = 1024  # examples that are sorted by length together
EMA_DECAY = 0.998
# Examples from a position on; the share of the training that is done chooses the mixture.
Stream = Callable[[int, float], Iterator[Example]]


class Onward:
    """A stream of examples that goes on where it stood, so that pools leave none out."""

    def __init__(self, begin: Callable[[], Iterator[Example]]) -> None:
        self._begin = begin
        self._examples, self._place = begin(), 0

    def at(self, place: int) -> Iterator[Example]:
        """Yield the examples from a place on; it goes back by beginning anew."""
        if place < self._place:
            self._examples, self._place = self._begin(), 0
        while self._place < place:
            next(self._examples)
            self._place += 1
        for example in self._examples:
            self._place += 1
            yield example


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how to train.

    Attributes:
        minutes: Training time, earlier runs of the same checkpoint included.
        tokens: Padded tokens, likewise; training ends with the first of both.
        batch_tokens: Padded tokens of a batch.
        lr: Muon's learning rate; AdamW takes a fifth.
        seed: Of weights and corpus.
        save_minutes: Time between checkpoints.
    """

    minutes: float = math.inf
    tokens: float = math.inf
    batch_tokens: int = 8192
    lr: float = 0.02
    seed: int = 1
    save_minutes: float = 3.0

    def done(self, progress: Progress) -> float:
        """Return the share of the training that is behind us."""
        return max(progress.seconds / 60 / self.minutes, progress.tokens / self.tokens)


def encode(
    tokenizer: PreTrainedTokenizerFast, pool: list[Example]
) -> list[tuple[list[int], list[bool]]]:
    """Return ids and, for each, whether it is learned: responses less planted errors."""
    encoded = tokenizer(
        [e.prompt + e.response for e in pool], return_offsets_mapping=True, verbose=False
    )
    rows = []
    pairs = zip(pool, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    for example, ids, offsets in pairs:
        start = len(example.prompt)
        spans = [(start + a, start + b) for a, b in example.unlearned]
        learned = [a >= start and not any(s <= a < e for s, e in spans) for a, _ in offsets]
        rows.append((ids, learned))
    return rows


def batches(
    tokenizer: PreTrainedTokenizerFast, stream: Iterator[Example], plan: Plan, pool_seed: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ids [B, T] and labels [B, T] (-100: no loss) of one pool, of similar lengths."""
    rows = encode(tokenizer, list(islice(stream, POOL)))
    rows.sort(key=lambda row: len(row[0]))
    groups: list[list[tuple[list[int], list[bool]]]] = [[]]
    for row in rows:
        if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > plan.batch_tokens:
            groups.append([])
        groups[-1].append(row)
    random.Random(pool_seed).shuffle(groups)
    for group in groups:
        yield pad(group, tokenizer.pad_token_id or 0)


def pad(group: list[tuple[list[int], list[bool]]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return right-padded ids and labels; causal attention needs no mask then."""
    longest = max(len(ids) for ids, _ in group)
    ids = torch.full((len(group), longest), pad_id)
    labels = torch.full((len(group), longest), -100)
    for i, (row, learned) in enumerate(group):
        ids[i, : len(row)] = torch.tensor(row)
        labels[i, : len(row)] = torch.where(torch.tensor(learned), torch.tensor(row), -100)
    return ids, labels


def language_loss(model: Qwen3ForCausalLM, ids: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of the learned tokens; only they pass the output layer."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    target = labels[:, 1:]
    chosen = target != -100
    logits = model.lm_head(hidden[:, :-1][chosen])
    return nn.functional.cross_entropy(logits.float(), target[chosen])


def build_model(config: Qwen3Config, device: str) -> Qwen3ForCausalLM:
    """Return a model with random weights."""
    build: Any = Qwen3ForCausalLM  # its constructor and `to` are untyped
    model: Qwen3ForCausalLM = build(config).to(device)
    return model


def train_language_model(
    config: Qwen3Config,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    plan: Plan,
    *,
    stream: Stream,
    device: str,
    on_save: Callable[[Qwen3ForCausalLM], None],
) -> Qwen3ForCausalLM:
    """Train, or go on training, until time or tokens are used up.

    Args:
        config: Shape of the model.
        tokenizer: Of the corpus.
        folder: Checkpoints; the last one in it is taken up.
        plan: Times and rates.
        stream: What is learned.
        device: cpu or cuda.
        on_save: Gets the averaged model at each checkpoint.

    Returns:
        The model with its weights averaged over the last steps.
    """
    torch.manual_seed(plan.seed)
    model, average = build_model(config, device), build_model(config, device)
    average.load_state_dict(model.state_dict())
    optimizers = build_optimizers(model, plan.lr)
    progress = load_checkpoint(folder, model, average, optimizers) or Progress()
    descent = Descent(optimizers)
    begun, saved = time.monotonic() - progress.seconds, time.monotonic()
    mean_loss = math.nan
    while plan.done(progress) < 1:
        pool = stream(progress.examples, plan.done(progress))
        for ids, labels in batches(tokenizer, pool, plan, f"{plan.seed}/{progress.examples}"):
            factor = rate(plan.done(progress), progress.steps)
            descent.set_rate(factor)
            loss = language_loss(model, ids.to(device), labels.to(device))
            descent.step(loss, max_norm=1.0)
            _average(average, model, progress.steps)
            value = loss.item()
            mean_loss = value if math.isnan(mean_loss) else 0.98 * mean_loss + 0.02 * value
            progress.steps += 1
            progress.tokens += ids.numel()
            progress.seconds = time.monotonic() - begun
            if progress.steps % 50 == 0:
                log.info(
                    "step %d, %.1f M tokens, %.1f min, %.0f tokens/s, loss %.4f, rate %.2f",
                    progress.steps, progress.tokens / 1e6, progress.seconds / 60,
                    progress.tokens / progress.seconds, mean_loss, factor,
                )  # fmt: skip
        progress.examples += POOL
        if time.monotonic() - saved > plan.save_minutes * 60 or plan.done(progress) >= 1:
            saved = time.monotonic()
            save_checkpoint(folder, model, average, optimizers, progress)
            on_save(average)
    return average


@torch.no_grad()
def _average(average: nn.Module, model: nn.Module, steps: int) -> None:
    decay = min(EMA_DECAY, (1 + steps) / (10 + steps))
    ours: list[Tensor] = list(average.parameters())
    theirs: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(ours, theirs, 1 - decay)
