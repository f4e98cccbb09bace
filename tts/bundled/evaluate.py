"""Measures of the bundled models through vLLM; each part is a process of its own.

Parts write `report-<part>.json` (and samples) into the laboratory folder, so that a broken run
loses one part only. vLLM allows one in-process engine at a time, hence the processes.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

from tts import prompts
from tts.bundled.measures import mean_share, vote
from tts.bundled.sampling import Sample, Sampler, Scorer
from tts.score_quality import auroc, calibration
from tts.tasks import chain, countdown
from tts.tasks.labels import is_right, label_steps
from tts.tasks.splits import find_boxed, split_steps
from tts.types import Problem, Prompt

Report = dict[str, Any]
SAMPLES = "samples-{split}.jsonl"


def load_problems(split: str, count: int) -> dict[str, list[Problem]]:
    """Return the first problems of both tasks, balanced over levels."""
    return {
        "chain": list(islice(chain.problems(split), count)),
        "countdown": list(islice(countdown.problems(split), count)),
    }


def measure_solve(lab: Path, weights: Path, split: str, count: int, n: int) -> Report:
    """Sample n solutions of each problem; keep them; pass@1, pass@n and maj@n by level."""
    sampler = Sampler(weights / "reasoner")
    report: Report = {}
    with (lab / SAMPLES.format(split=split)).open("w", encoding="utf-8") as file:
        for task, problems in load_problems(split, count).items():
            rows = sampler.sample([prompts.solve(p) for p in problems], n=n)
            for problem, row in zip(problems, rows, strict=True):
                texts = [s.text for s in row]
                file.write(json.dumps({"id": problem.id, "task": task, "texts": texts}) + "\n")
            report[task] = _solve_figures(problems, rows)
    return report


def _solve_figures(problems: Sequence[Problem], rows: Sequence[Sequence[Sample]]) -> Report:
    right = [[is_right(p, s.text) for s in row] for p, row in zip(problems, rows, strict=True)]
    majority = []
    for problem, row in zip(problems, rows, strict=True):
        winner = vote([find_boxed(s.text) for s in row], [1.0] * len(row))
        majority.append(float(is_right(problem, f"\\boxed{{{winner}}}")))
    figures: Report = {"tokens": mean(s.num_tokens for row in rows for s in row)}
    levels = [p.metadata["level"] for p in problems]
    for level in (None, *sorted(set(levels))):
        chosen = [i for i in range(len(problems)) if level in (None, levels[i])]
        figures["all" if level is None else f"level {level}"] = {
            "pass@1": str(mean_share([mean(right[i]) for i in chosen])),
            f"maj@{len(rows[0])}": str(mean_share([majority[i] for i in chosen])),
            f"pass@{len(rows[0])}": str(mean_share([float(any(right[i])) for i in chosen])),
        }
    return figures


def load_samples(lab: Path, split: str) -> dict[str, list[str]]:
    """Return the kept samples by problem id."""
    with (lab / SAMPLES.format(split=split)).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {row["id"]: row["texts"] for row in rows}


def measure_prm(lab: Path, weights: Path, split: str, count: int, n: int) -> Report:
    """Score the kept samples: AUROC and calibration of steps, best-of-n, weighted vote."""
    scorer = Scorer(weights / "prm")
    kept = load_samples(lab, split)
    report: Report = {}
    for task, problems in load_problems(split, count).items():
        pairs = [(p, split_steps(text)[:16]) for p in problems for text in kept[p.id][:n]]
        filled = [(p, steps or ["."]) for p, steps in pairs]
        scores = scorer.score([prompts.reward(p, steps) for p, steps in filled])
        report[task] = _prm_figures(problems, kept, filled, scores, n)
    return report


def _prm_figures(
    problems: Sequence[Problem],
    kept: dict[str, list[str]],
    filled: Sequence[tuple[Problem, list[str]]],
    scores: Sequence[Sequence[float]],
    n: int,
) -> Report:
    flat = [s for row in scores for s in row]
    labels = [label for p, steps in filled for label in label_steps(p, steps)]
    figures: Report = {
        "steps": len(flat),
        "share right": mean(labels),
        "AUROC": round(auroc(flat, labels), 4),
        "calibration": [[round(a, 3), round(b, 3), c] for a, b, c in calibration(flat, labels)],
    }
    reduce: dict[str, Callable[[Sequence[float]], float]] = {
        "last": lambda row: row[-1],
        "min": min,
    }
    for name, function in reduce.items():
        best, weighted = [], []
        for i, problem in enumerate(problems):
            texts = kept[problem.id][:n]
            values = [function(row) for row in scores[i * n : (i + 1) * n]]
            chosen = texts[max(range(n), key=values.__getitem__)]
            best.append(float(is_right(problem, chosen)))
            winner = vote([find_boxed(t) for t in texts], values)
            weighted.append(float(is_right(problem, f"\\boxed{{{winner}}}")))
        figures[f"best-of-{n} by {name}"] = str(mean_share(best))
        figures[f"weighted vote at {n} by {name}"] = str(mean_share(weighted))
    return figures


def measure_behaviours(lab: Path, weights: Path, split: str, count: int, n: int) -> Report:
    """Revise, verify and choose among the kept samples; think, or answer at once."""
    sampler = Sampler(weights / "reasoner", max_tokens=1024)
    kept = load_samples(lab, split)
    report: Report = {}
    for task, problems in load_problems(split, count).items():
        pairs = [(p, text) for p in problems for text in kept[p.id][: min(n, 4)]]
        report[task] = {
            "revise": _revise(sampler, pairs),
            "verify": _verify(sampler, pairs),
            "choose from 8": _choose(sampler, problems, kept),
            "thinking": _modes(sampler, problems),
        }
    return report


def _ask(sampler: Sampler, asked: Iterable[Prompt], n: int = 1) -> list[list[Sample]]:
    return sampler.sample(list(asked), n=n)


def _revise(sampler: Sampler, pairs: Sequence[tuple[Problem, str]]) -> Report:
    rows = _ask(sampler, (prompts.revise(p, text) for p, text in pairs))
    mended: list[float] = []
    broken: list[float] = []
    for (problem, text), row in zip(pairs, rows, strict=True):
        after = is_right(problem, row[0].text)
        if is_right(problem, text):
            broken.append(float(not after))
        else:
            mended.append(float(after))
    return {"mended": str(mean_share(mended)), "broken": str(mean_share(broken))}


def _verify(sampler: Sampler, pairs: Sequence[tuple[Problem, str]]) -> Report:
    rows = _ask(sampler, (prompts.verify(p, text) for p, text in pairs))
    of_right: list[float] = []
    of_wrong: list[float] = []
    unread = 0
    for (problem, text), row in zip(pairs, rows, strict=True):
        verdict = prompts.parse_verdict(row[0].text)
        unread += verdict is None
        if is_right(problem, text):
            of_right.append(float(verdict is True))
        else:
            of_wrong.append(float(verdict is False))
    accuracy = (mean(of_right) + mean(of_wrong)) / 2
    return {
        "right ones passed": str(mean_share(of_right)),
        "wrong ones caught": str(mean_share(of_wrong)),
        "balanced accuracy": round(accuracy, 3),
        "no verdict": unread,
    }


def _choose(sampler: Sampler, problems: Sequence[Problem], kept: dict[str, list[str]]) -> Report:
    rows = _ask(sampler, (prompts.choose(p, kept[p.id][:8]) for p in problems))
    chosen = [float(is_right(p, row[0].text)) for p, row in zip(problems, rows, strict=True)]
    single = [mean(is_right(p, text) for text in kept[p.id][:8]) for p in problems]
    return {"chosen": str(mean_share(chosen)), "pass@1 of the 8": str(mean_share(single))}


def _modes(sampler: Sampler, problems: Sequence[Problem]) -> Report:
    report: Report = {}
    hard = [i for i, p in enumerate(problems) if p.metadata["level"] >= 3]
    for name, ask in (
        ("thinking", prompts.solve_thinking),
        ("without", prompts.solve_without_thinking),
    ):
        rows = _ask(sampler, (ask(p) for p in problems), n=4)
        right = [
            mean(is_right(p, s.text) for s in row) for p, row in zip(problems, rows, strict=True)
        ]
        report[name] = {
            "all": str(mean_share(right)),
            "levels 3 and up": str(mean_share([right[i] for i in hard])),
            "tokens": round(mean(s.num_tokens for row in rows for s in row), 1),
        }
    return report


def measure_draft(lab: Path, weights: Path, split: str, count: int, n: int) -> Report:
    """Let the draft model solve the same problems."""
    sampler = Sampler(weights / "draft")
    report: Report = {}
    for task, problems in load_problems(split, count).items():
        rows = _ask(sampler, (prompts.solve(p) for p in problems), n=min(n, 8))
        report[task] = _solve_figures(problems, rows)
    return report


PARTS: dict[str, Callable[[Path, Path, str, int, int], Report]] = {
    "solve": measure_solve,
    "prm": measure_prm,
    "behaviours": measure_behaviours,
    "draft": measure_draft,
}


def measure(part: str, lab: Path, weights: Path, split: str, count: int, n: int) -> Report:
    """Run one part and write its report."""
    report = PARTS[part](lab, weights, split, count, n)
    path = lab / f"report-{split}-{part}.json"
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report
