"""Whether runs survive being killed and damaged: tries, survived, lost."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from tts.bench.faults_run import NUM_PROBLEMS, measure
from tts.bench.faults_searches import SearchTry, measure_searches
from tts.console import flags, output


def faults(
    tries: Annotated[
        int, typer.Option("--tries", min=1, help="Runs that are killed, damaged and finished.")
    ] = 20,
    searches: Annotated[
        bool, typer.Option("--searches", help="Runs of every preset with a search instead.")
    ] = False,
    seed: flags.SeedFlag = 0,
    as_json: flags.JsonFlag = False,
) -> None:
    """Kill runs, cut off files of their folders, and compare what they come to.

    Each run is a process on a scripted engine that is killed up to three times at random moments.
    After some kills a file of the run's folder is cut off at a random byte. Then the run is
    finished, and has survived if every problem is there once, with the same answer, samples and
    tokens as in an undisturbed run.

    With --searches the presets that search a tree take turns, on a clock that waits for nobody, so
    that undisturbed runs are equal. A run has survived if all its figures are theirs: answers,
    samples, seeds, scores, tokens, accounts of the search.

    Example: tts bench faults --tries 100
    """
    with TemporaryDirectory(prefix="tts-faults-") as folder:
        if searches:
            found = measure_searches(Path(folder), tries=tries, seed=seed, note=output.print_note)
            _tell_searches(found, seed, as_json=as_json)
            return
        done = measure(Path(folder), tries=tries, seed=seed, note=output.print_note)
    lost = [one for one in done if one.lost]
    if as_json:
        output.print_json({"schema": 1, "seed": seed, "tries": [asdict(one) for one in done]})
    else:
        kills, damages = sum(one.kills for one in done), sum(one.damages for one in done)
        output.print_text(
            f"{len(done)} tries of {NUM_PROBLEMS} problems, {kills} kills, {damages} damaged "
            f"files: {len(done) - len(lost)} survived, {len(lost)} lost"
        )
        output.print_lines(f"lost  {one.preset}: {one.lost}" for one in lost)
    if lost:
        raise typer.Exit(1)


def _tell_searches(done: list[SearchTry], seed: int, *, as_json: bool) -> None:
    """Print how searches came through.

    Raises:
        typer.Exit: One was lost, or came to something else.
    """
    failed = [one for one in done if one.lost or one.unequal]
    if as_json:
        output.print_json({"schema": 1, "seed": seed, "tries": [asdict(one) for one in done]})
    else:
        presets, kills = len({one.preset for one in done}), sum(one.kills for one in done)
        lost = sum(bool(one.lost) for one in done)
        output.print_text(
            f"{len(done)} tries of {presets} presets, {kills} kills: {len(done) - len(failed)} "
            f"survived, {lost} lost, {len(failed) - lost} unequal"
        )
        output.print_lines(
            f"{one.preset}: {one.lost or f'{one.unequal} figures differ'}" for one in failed
        )
    if failed:
        raise typer.Exit(1)
