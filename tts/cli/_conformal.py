"""Scores of drafts, which the preset `atts` compares new ones with."""

from collections.abc import Sequence
from pathlib import Path

from tts.allocation.conformal import PERPLEXITY, Conformal
from tts.console import output
from tts.errors import InputError
from tts.evals.runner import Plan
from tts.session.runtime import Runtime


async def save_conformal(runtime: Runtime, plans: Sequence[Plan], path: Path, *, seed: int) -> None:
    """Have problems drafted and read, and keep how likely the target finds each chunk.

    Args:
        runtime: Its own engine is the target; it is closed at the end.
        plans: Problems and the preset, which accepts every chunk.
        path: The file to write.
        seed: Of the drafts.

    Raises:
        InputError: The preset drafts no chunks, or there are too few.
        StoreError: The file cannot be written.
    """
    attempts: list[tuple[float, ...]] = []
    draft, target, num_problems = "", "", 0
    named: list[str] = []
    in_all = sum(len(plan.problems) for plan in plans)
    async with runtime:
        for plan in plans:
            pipeline = plan.preset.pipeline
            named = [name for _, node in pipeline for name in node.operator.spec.engines]
            async with runtime.run_many(plan.preset, plan.problems, seed=seed) as results:
                async for result in results:
                    num_problems += 1
                    output.print_note(f"{num_problems} of {in_all} problems drafted and read")
                    scores = [
                        t.scores[PERPLEXITY] for t in result.samples if PERPLEXITY in t.scores
                    ]
                    attempts += [score.steps for score in scores]
            async with runtime.serving([pipeline]) as core:
                target = core.engines[""].info.name
                draft = core.engines[named[0] if named else ""].info.name
    if not attempts:
        raise InputError("nothing was drafted: the preset must be atts, or draft chunks as it does")
    fitted = Conformal.fit(attempts, draft=draft, target=target)
    fitted.save(path)
    for turn, values in enumerate(fitted.turns, start=1):
        later = " and later" if turn == len(fitted.turns) else ""
        middle = values[len(values) // 2]
        output.print_text(
            f"turn {turn}{later}: {len(values)} chunks, median perplexity {middle:.3f}"
        )
    output.print_text(
        f"scores {path}, {num_problems} problems, drafts by {draft}, read by {target}"
    )
    asked = f" --set draft={named[0]}" if named else ""
    output.print_text(f"use    tts eval ... --preset atts{asked} --set calibration={path}")
