"""Whether runs survive kills, damage and bad servers: tries, survived, lost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from tts.bench.faults_run import NUM_PROBLEMS, Try, measure
from tts.bench.faults_searches import SearchTry, measure_searches
from tts.bench.faults_server_run import ServerRun, measure_server
from tts.console import flags, output
from tts.errors import InputError

_COUNTED = {
    "problems": "problems",
    "answered": "answered",
    "unanswered": "named unfinished and answered later",
    "refused": "refused",
}


def faults(
    tries: Annotated[
        int | None,
        typer.Option(
            "--tries",
            min=1,
            help="Runs that are killed [default: 20], or calls that a server answers badly "
            "[default: 1000].",
        ),
    ] = None,
    searches: Annotated[
        bool, typer.Option("--searches", help="Kill runs of every preset with a search instead.")
    ] = False,
    server: Annotated[
        bool, typer.Option("--server", help="A server that misbehaves, in place of kills.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, help="Calls to the server at once.")
    ] = 64,
    seed: flags.SeedFlag = 0,
    as_json: flags.JsonFlag = False,
) -> None:
    """Kill runs, cut off files of their folders, and compare what they come to.

    Each run samples 40 problems on a scripted engine, in a process that is killed up to three
    times at any moment; after a kill a file may also lose its end at any byte. The run is then
    finished, and has survived if every problem is there once, with the same answer, samples and
    tokens as in an undisturbed run.

    With --searches the presets that search a tree take turns, on a clock that waits for nobody, so
    that undisturbed runs are equal. A run has survived if all its figures are theirs: answers,
    samples, seeds, scores, tokens, accounts of the search.

    With --server nothing is killed: runs ask a server on loopback that answers half of their calls
    badly, in every way that was met in the field, and by turns is of every kind that lacks
    something. A run has survived if each problem is answered rightly, or named as unfinished (and
    answered once the server is in order again), or says what refused it; if it came to its end;
    and if the server generated no more than the budget and what was in flight.

    Example: tts bench faults --server --tries 10000
    """
    if searches and server:
        raise InputError("--searches and --server are two benchmarks: name one")
    with TemporaryDirectory(prefix="tts-faults-") as folder:
        root, note = Path(folder), output.print_note
        if searches:
            killed = measure_searches(root, tries=tries or 20, seed=seed, note=note)
            failed = _numbered((one.preset, one.failure) for one in killed)
            said = _say_searches(killed, len(failed))
            done = [asdict(one) for one in killed]
        elif server:
            asked = measure_server(
                root, tries=tries or 1000, concurrency=concurrency, seed=seed, note=note
            )
            said, failed = _say_server(asked), _numbered((run.kind, run.lost) for run in asked)
            done = [asdict(run) for run in asked]
        else:
            runs = measure(root, tries=tries or 20, seed=seed, note=note)
            said, failed = _say_runs(runs), _numbered((one.preset, one.lost) for one in runs)
            done = [asdict(one) for one in runs]
    _tell(done, said, failed, seed, as_json=as_json)


def _say_runs(done: Sequence[Try]) -> str:
    kills, damages = sum(one.kills for one in done), sum(one.damages for one in done)
    lost = sum(bool(one.lost) for one in done)
    return (
        f"{len(done)} tries of {NUM_PROBLEMS} problems, {kills} kills, {damages} damaged files: "
        f"{len(done) - lost} survived, {lost} lost"
    )


def _say_searches(done: Sequence[SearchTry], failed: int) -> str:
    presets, kills = len({one.preset for one in done}), sum(one.kills for one in done)
    lost = sum(bool(one.lost) for one in done)
    return (
        f"{len(done)} tries of {presets} presets, {kills} kills: {len(done) - failed} survived, "
        f"{lost} lost, {failed - lost} unequal"
    )


def _numbered(done: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return why tries failed, by the name of what was tried and the number of the try."""
    tries = enumerate(done, start=1)
    return {f"{name}, try {number}": why for number, (name, why) in tries if why}


def _say_server(runs: Sequence[ServerRun]) -> str:
    calls = sum(run.num_faults for run in runs)
    forms = {form for run in runs for form in run.faults}
    totals = [sum(getattr(run, name) for run in runs) for name in _COUNTED]
    counts = ", ".join(f"{n} {what}" for n, what in zip(totals, _COUNTED.values(), strict=True))
    lost = sum(bool(run.lost) for run in runs)
    return (
        f"{calls} faulty calls of {len(forms)} forms in {len(runs)} tries, {counts}: "
        f"{len(runs) - lost} survived, {lost} lost"
    )


def _tell(
    done: Sequence[Mapping[str, Any]],
    said: str,
    failed: Mapping[str, str],
    seed: int,
    *,
    as_json: bool,
) -> None:
    """Print what was measured.

    Raises:
        typer.Exit: Something was lost, or came to something else.
    """
    if as_json:
        output.print_json({"schema": 1, "seed": seed, "tries": done})
    else:
        output.print_text(said)
        output.print_lines(f"{name}: {why}" for name, why in failed.items())
    if failed:
        raise typer.Exit(1)
