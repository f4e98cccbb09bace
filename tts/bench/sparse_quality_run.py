"""Accuracy of a model on long problems when decode may see only part of its KV cache.

The model runs in transformers with an attention of our own (`_kv_selection`), prefill dense. A
folder holds one plan, and a sealed line for each problem of each cell (method and budget), so that
the same command goes on where it was killed, and further budgets join those measured before.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from tts import prompts
from tts.bench.sparse_quality_selection import KVBudget, Method, attend
from tts.engine.choices import default_threads
from tts.engine.encoder import PromptEncoder
from tts.engine.machine import Machine
from tts.engine.model_files import read_model_files
from tts.errors import ContextError, StoreError
from tts.evals.metrics import bootstrap_interval
from tts.seeds import derive_seed
from tts.storage.sealed_lines import (
    LineWriter,
    cannot_write,
    encode_line,
    read_json,
    read_lines,
    write_json,
)
from tts.tasks import chain
from tts.tasks.labels import is_right
from tts.types import Problem

_ATTENTION = "tts_kv_budget"
_SCHEMA = 2
_PLAN, _CELLS = "plan.json", "cells.jsonl"


@dataclass(frozen=True, slots=True)
class QualityPlan:
    """What is measured; a folder holds one plan.

    Attributes:
        model: Its files' digest, so that other weights are another plan.
        problems: Of the test split, balanced over `levels`.
        levels: Of the chain task.
        distractors: Sentences beside the point in each problem; they make it long.
        samples: Per problem and cell.
        temperature: Of sampling.
        max_tokens: Per sample.
        seed: Of wording and sampling.
    """

    model: str
    problems: int
    levels: tuple[int, ...]
    distractors: int
    samples: int
    temperature: float
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class CellFigures:
    """Accuracy under one budget.

    Attributes:
        method: Name in `_kv_selection.METHODS`.
        budget: Tokens that a step sees; the mean context for "dense".
        accuracy: Mean over problems of the share of right samples.
        low: Lower end of its 95 % bootstrap interval over problems.
        high: Upper end.
        prompt_tokens: Mean over problems.
        generated_tokens: Mean over samples.
        problems: How many.
    """

    method: Method
    budget: int
    accuracy: float
    low: float
    high: float
    prompt_tokens: float
    generated_tokens: float
    problems: int


def long_problems(plan: QualityPlan) -> list[Problem]:
    """Return test problems reworded with many sentences beside the point."""
    drawn = chain.problems("test", per_level=-(-plan.problems // len(plan.levels)))
    found = (p for p in drawn if p.metadata["level"] in plan.levels)
    rows = []
    for problem in islice(found, plan.problems):
        wording = random.Random(f"{plan.seed}/{problem.id}").getrandbits(32)
        longer = replace(
            chain.chain_of(problem), num_distractors=plan.distractors, wording_seed=wording
        )
        rows.append(chain.to_problem(longer, f"{problem.id}-long", problem.metadata["level"]))
    return rows


class BudgetedModel:
    """A causal model whose decode steps see what a `KVBudget` lets them."""

    def __init__(self, folder: Path) -> None:
        """Load a model and its tokenizer from a folder."""
        transformers: Any = import_module("transformers")
        import_module("transformers.utils.logging").disable_progress_bar()
        self.budget = KVBudget("dense")
        files = read_model_files(folder, {})
        torch.set_num_threads(default_threads(files, Machine.this()))
        transformers.AttentionInterface.register(_ATTENTION, self._attend)
        self._model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation=_ATTENTION
        ).eval()
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self._encoder = PromptEncoder(self._tokenizer)
        end = self._model.generation_config.eos_token_id
        self._ends = torch.tensor(end if isinstance(end, list) else [end])
        self._prefill = import_module("transformers.integrations.sdpa_attention")

    def _attend(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any
    ) -> tuple[Tensor, None]:
        scale = options["scaling"]
        if query.shape[2] > 1:
            options = {"scaling": scale, "is_causal": True}
            found = self._prefill.sdpa_attention_forward(module, query, key, value, None, **options)
            return found[0], None
        is_dense = module.layer_idx < self.budget.dense_layers
        budget = KVBudget("dense") if is_dense else self.budget
        return attend(query, key, value, scale, budget).transpose(1, 2), None

    def encode(self, problem: Problem) -> tuple[int, ...]:
        """Return the prompt's token ids."""
        return self._encoder.encode(prompts.solve(problem))

    @torch.inference_mode()
    def sample(
        self, prompt: Sequence[int], number: int, *, temperature: float, max_tokens: int, seed: int
    ) -> list[tuple[str, int]]:
        """Return (text, generated tokens) of samples of one prompt, which is read once.

        Raises:
            ContextError: Prompt and samples would not fit into the model's context.
        """
        most = self._model.config.max_position_embeddings
        if len(prompt) + max_tokens > most:
            raise ContextError(
                f"a prompt of {len(prompt)} tokens and {max_tokens} more do not fit into the "
                f"model's {most}: take fewer --distractors or --max-tokens"
            )
        generator = torch.Generator().manual_seed(seed)
        logits, cache = self._step(torch.tensor([list(prompt)]), None)
        logits = logits.expand(number, -1)
        cache.batch_repeat_interleave(number)
        is_done = torch.zeros(number, dtype=torch.bool)
        drawn: list[Tensor] = []
        while True:
            fed = (logits / temperature).softmax(dim=1).multinomial(1, generator=generator)
            drawn.append(torch.where(is_done, -1, fed[:, 0]))
            is_done |= torch.isin(fed[:, 0], self._ends)
            if len(drawn) == max_tokens or bool(is_done.all()):
                break
            logits, cache = self._step(fed, cache)
        rows = torch.stack(drawn, dim=1).tolist()
        kept = [[token for token in row if token >= 0] for row in rows]
        return [(self._tokenizer.decode(row, skip_special_tokens=True), len(row)) for row in kept]

    def _step(self, fed: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """Feed tokens [B, T]; return the logits after the last, [B, vocabulary], and the cache."""
        out = self._model(input_ids=fed, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return out.logits[:, -1].float(), out.past_key_values


def measure_cells(
    plan: QualityPlan,
    cells: Sequence[KVBudget],
    load: Callable[[], BudgetedModel],
    out: Path,
    note: Callable[[str], None],
) -> list[CellFigures]:
    """Measure all cells, or what is left of them; the model is loaded if anything is.

    Raises:
        StoreError: The folder holds another plan, is damaged, or cannot be written.
        ContextError: A problem is too long for the model.
    """
    _claim(out, plan)
    problems = long_problems(plan)
    lines = list(read_lines(out / _CELLS))
    known = {(KVBudget(**line.values["cell"]), line.values["id"]): line.values for line in lines}
    model: BudgetedModel | None = None
    with closing(LineWriter(out / _CELLS, lines[-1].end if lines else 0)) as file:
        for cell in cells:
            left = [problem for problem in problems if (cell, problem.id) not in known]
            if not left:
                continue
            note(f"{_name(cell)}: {len(left)} of {len(problems)} problems")
            model = model or load()
            model.budget = cell
            for problem in left:
                line = {"cell": asdict(cell), **_solve(model, problem, plan)}
                file.append(encode_line(line))
                known[cell, problem.id] = line
    return [cell_figures(cell, [known[cell, p.id] for p in problems], plan.seed) for cell in cells]


def cell_figures(cell: KVBudget, rows: Sequence[Mapping[str, Any]], seed: int) -> CellFigures:
    """Return the figures of a finished cell from its lines."""
    shares = [row["right"] / row["samples"] for row in rows]
    interval = bootstrap_interval(shares, seed=seed)
    prompt = fmean(row["prompt_tokens"] for row in rows)
    generated = sum(row["tokens"] for row in rows) / sum(row["samples"] for row in rows)
    return CellFigures(
        cell.method,
        round(prompt + generated / 2) if cell.method == "dense" else cell.tokens,
        fmean(shares),
        interval.low,
        interval.high,
        prompt,
        generated,
        len(rows),
    )


def _solve(model: BudgetedModel, problem: Problem, plan: QualityPlan) -> dict[str, Any]:
    prompt = model.encode(problem)
    # The same seed under every budget: what differs is what was seen.
    seed = derive_seed(plan.seed, problem.id, "kv_budget")
    drawn = model.sample(
        prompt,
        plan.samples,
        temperature=plan.temperature,
        max_tokens=plan.max_tokens,
        seed=seed,
    )
    return {
        "id": problem.id,
        "samples": len(drawn),
        "right": sum(is_right(problem, text) for text, _ in drawn),
        "tokens": sum(tokens for _, tokens in drawn),
        "prompt_tokens": len(prompt),
    }


def _name(cell: KVBudget) -> str:
    return cell.method if cell.method == "dense" else f"{cell.method}-{cell.tokens}"


def _claim(out: Path, plan: QualityPlan) -> None:
    """Make the folder this plan's, or check that it is."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from error
    path, wanted = out / _PLAN, {"schema": _SCHEMA, **asdict(plan), "levels": list(plan.levels)}
    there = read_json(path)
    if there is None:
        write_json(path, wanted)
    elif there != wanted:
        differs = next(k for k in wanted if wanted[k] != there.get(k))
        raise StoreError(
            f"{out} holds a measurement with {differs}={there.get(differs)}, not "
            f"{wanted[differs]}: choose another --out"
        )
