"""The KV-budget curve: what each method sees, that a run goes on, and a tiny model end to end."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")

from tts.bench import sparse_quality_run as quality  # noqa: E402
from tts.bench.sparse_quality import quality_table  # noqa: E402
from tts.bench.sparse_quality_plot import plot_budgets  # noqa: E402
from tts.bench.sparse_quality_selection import KVBudget, attend, visible_tokens  # noqa: E402
from tts.errors import ContextError, StoreError  # noqa: E402
from tts.types import Problem  # noqa: E402

PLAN = quality.QualityPlan("digest", 3, (1,), 30, 2, 0.6, 8, 0)


def seen(budget: KVBudget, *heads: Sequence[float]) -> list[int]:
    """Return the visible tokens of one request with one KV head and these query heads."""
    visible = visible_tokens(torch.tensor(heads)[None, None], budget)
    return [int(i) for i in visible[0, 0].nonzero().flatten()]


def test_what_each_method_sees() -> None:
    # Ten tokens; pages of two have the mean logits 0, 4, 1, 3, 0.
    logits = [0.0, 0, 8, 0, 1, 1, 0, 6, 0, 0]
    pages = {"page_size": 2, "sink_pages": 1, "local_pages": 1}
    assert seen(KVBudget("dense"), logits) == list(range(10))
    assert seen(KVBudget("window", 3), logits) == [7, 8, 9]
    assert seen(KVBudget("oracle", 2), logits) == [2, 7]
    assert seen(KVBudget("block", 6, **pages), logits) == [0, 1, 2, 3, 8, 9]
    assert seen(KVBudget("block", 8, **pages), logits) == [0, 1, 2, 3, 6, 7, 8, 9]
    # A ninth token alone: its page is incomplete, and last.
    assert seen(KVBudget("block", 6, **pages), logits[:9]) == [0, 1, 2, 3, 8]
    assert seen(KVBudget("oracle", 10), logits) == list(range(10))


def test_the_heads_of_a_group_choose_together() -> None:
    assert seen(KVBudget("oracle", 1), [5.0, 0.0, 3.0], [0.0, 5.0, 3.0]) == [2]


def test_attention_over_everything_is_attention() -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, 1, 8, generator=generator)
    k, v = (torch.randn(2, 2, 9, 8, generator=generator) for _ in range(2))
    expected = torch.nn.functional.scaled_dot_product_attention(
        q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
    )
    torch.testing.assert_close(attend(q, k, v, 8**-0.5, KVBudget("dense")), expected)


def test_problems_are_long_and_keep_their_answers() -> None:
    problems = quality.long_problems(PLAN)
    assert len(problems) == 3
    assert all(p.statement.count(".") > 30 for p in problems)
    assert quality.long_problems(PLAN) == problems
    # More than the benchmark itself has of a level.
    assert len(quality.long_problems(replace(PLAN, problems=201, distractors=0))) == 201


class Scripted:
    """Answers right under "dense" and wrong otherwise, and counts its calls."""

    def __init__(self) -> None:
        self.budget = KVBudget("dense")
        self.calls = 0
        self.problem = ""

    def encode(self, problem: Problem) -> tuple[int, ...]:
        self.problem = problem.reference or ""
        return (1,) * 40

    def sample(self, prompt: Sequence[int], number: int, **_: Any) -> list[tuple[str, int]]:
        self.calls += 1
        answer = self.problem if self.budget.method == "dense" else "-1"
        return [(f"\\boxed{{{answer}}}", 5)] * number


def test_a_run_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    cells = [KVBudget("dense"), KVBudget("block", 128)]
    measure: Any = quality.measure_cells

    def run(plan: quality.QualityPlan, *budgets: KVBudget) -> tuple[list[Any], int]:
        model = Scripted()
        return measure(plan, budgets, lambda: model, tmp_path, lambda _: None), model.calls

    rows, calls = run(PLAN, *cells)
    assert calls == 6
    assert [(row.accuracy, row.budget) for row in rows] == [(1.0, 42), (0.0, 128)]
    # The last line was cut by a kill: that problem alone is measured again.
    path = tmp_path / "cells.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert run(PLAN, *cells) == (rows, 1)
    assert path.read_bytes() == whole
    # Another page size is another cell, in the same folder.
    more, calls = run(PLAN, *cells, KVBudget("block", 128, page_size=16))
    assert (more[:2], calls) == (rows, 3)
    with pytest.raises(StoreError, match="distractors=30, not 31: choose another --out"):
        run(replace(PLAN, distractors=31), *cells)
    path.write_bytes(b"x" + path.read_bytes())
    with pytest.raises(StoreError, match=r"cells.jsonl:1: damaged line"):
        run(PLAN, *cells)


def test_table_and_figure() -> None:
    cell: dict[str, Any] = {"low": 0.4, "high": 0.6, "generated_tokens": 50.0, "accuracy": 0.5}
    cell["problems"] = 10
    rows = [
        {**cell, "method": method, "budget": budget}
        for method, budget in [("dense", 1_000), ("block", 250), ("oracle", 250), ("window", 250)]
    ]
    assert [c.plain for c in quality_table(rows).columns[2].cells][1] == "25%"  # type: ignore[union-attr]
    (axes,) = plot_budgets(rows).axes
    assert len(axes.containers) == 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_model_decodes_as_it_prefills(tmp_path: Path) -> None:
    transformers: Any = pytest.importorskip("transformers")
    from tts.engine.build import resolve_model

    folder = resolve_model("bundled:reasoner")
    assert folder is not None
    model = quality.BudgetedModel(folder)
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = model.encode(quality.long_problems(PLAN)[0])
    fed = torch.tensor([prompt])
    with torch.inference_mode():
        first = model._model(input_ids=fed[:, :-1], use_cache=True)
        last = model._model(input_ids=fed[:, -1:], past_key_values=first.past_key_values)
        expected = plain(input_ids=fed)
    torch.testing.assert_close(last.logits[:, -1], expected.logits[:, -1], rtol=1e-4, atol=1e-4)
    model.budget = KVBudget("window", 64)
    options: dict[str, Any] = {"temperature": 1.0, "max_tokens": 4, "seed": 0}
    assert len(model.sample(prompt, 2, **options)) == 2
    assert model.sample(prompt, 2, **options) == model.sample(prompt, 2, **options)
    with pytest.raises(ContextError, match=r"and 20000 more do not fit into the model's 16384"):
        model.sample(prompt, 2, **{**options, "max_tokens": 20_000})
