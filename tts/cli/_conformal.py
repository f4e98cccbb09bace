"""Scores of drafts, which the preset `atts` compares new ones with."""

from collections.abc import Sequence
from pathlib import Path

from tts.allocation.conformal import PERPLEXITY, Conformal, drawn
from tts.console import output
from tts.errors import InputError
from tts.evals.stored_run import StoredRun
from tts.presets.load import Preset


def save_conformal(runs: Sequence[StoredRun], preset: Preset, path: Path) -> None:
    """Keep how likely the target of runs, their own engine, finds each chunk of the drafts.

    Args:
        runs: Of a preset that accepts every chunk.
        preset: It.
        path: The file to write.

    Raises:
        InputError: The preset drafts no chunks, or there are too few.
        StoreError: The file cannot be written.
    """
    records = [record for run in runs for record in run.records]
    samples = [sample for record in records for sample in record.samples]
    attempts = [steps for sample in samples if (steps := sample.steps_by(PERPLEXITY))]
    if not attempts:
        raise InputError("nothing was drafted: the preset must be atts, or draft chunks as it does")
    drafting = next(iter(runs[0].config.get("samplers", ())), "")
    draft, target = runs[0].models[drafting], runs[0].models[""]
    operators = (node.operator for _, node in preset.pipeline)
    sizes = {size for one in operators if (size := getattr(one, "chunk_tokens", None))}
    how = drawn(preset.sampling, *sizes) if len(sizes) == 1 else {}
    fitted = Conformal.fit(attempts, draft=draft, target=target, drawn=how)
    fitted.save(path)
    for turn, values in enumerate(fitted.turns, start=1):
        later = " and later" if turn == len(fitted.turns) else ""
        middle = values[len(values) // 2]
        output.print_text(
            f"turn {turn}{later}: {len(values)} chunks, median perplexity {middle:.3f}"
        )
    output.print_text(
        f"scores {path}, {len(records)} problems, drafts by {draft}, read by {target}"
    )
    if left := sum(run.planned for run in runs) - len(records):
        output.print_text(f"note   {left} problems are left; the same command tries them again")
    asked = f" --set draft={drafting}" if drafting else ""
    output.print_text(f"use    tts eval ... --preset atts{asked} --set calibration={path}")
