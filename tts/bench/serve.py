"""What `tts serve` costs beside vLLM's own server, and what votes cost through others."""

import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from statistics import median
from typing import Annotated

import typer

from tts.bench.serve_load import Load, measure_load
from tts.bench.serve_run import BARE, Pace, Voting, measure_overhead, measure_votes
from tts.console import flags, output
from tts.errors import InputError

_CONCURRENCIES = (1, 8, 64)
_PARTS = ("overhead", "votes", "load")
_ItsHubFlag = Annotated[
    str | None,
    typer.Option("--its-hub", metavar="PYTHON", help="Interpreter that has its_hub[iaas]."),
]
_OptillmFlag = Annotated[
    str | None, typer.Option("--optillm", metavar="PYTHON", help="Interpreter that has optillm.")
]


def serve(
    parts: Annotated[
        list[str] | None,
        typer.Option(
            "--part", metavar="NAME", help="Measure overhead, votes or load. Repeat it for more."
        ),
    ] = None,
    model: flags.EmbeddedModelFlag = BARE,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each server.")] = 3,
    requests: Annotated[
        int, typer.Option("--requests", min=1, help="Requests of a turn, at each concurrency.")
    ] = 48,
    tokens: Annotated[
        int, typer.Option("--tokens", min=1, help="Tokens that each of them generates.")
    ] = 64,
    problems: Annotated[int, typer.Option("--problems", min=1, help="Problems voted on.")] = 40,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples of a vote.")] = 16,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Time of the load.")] = 120.0,
    clients: Annotated[int, typer.Option("--clients", min=1, help="Clients of the load.")] = 64,
    its_hub: _ItsHubFlag = None,
    optillm: _OptillmFlag = None,
    seed: flags.SeedFlag = 0,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure our server alone, and beside others.

    With the part overhead, our server and vLLM's own answer the same plain requests in turns, at 1,
    8 and 64 at once, with any model; the other parts take the bundled one. With votes,
    self-consistency runs through ours, and through its_hub's and optillm's in front of vLLM's,
    where these are installed. With load, a third of the clients hangs up, sends garbage or reads
    slowly.

    Example: tts bench serve --part overhead --rounds 5
    """
    # As an exception, so that a benchmark that is ended leaves no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    note, wanted = output.print_note, set(parts or _PARTS)
    if unknown := sorted(wanted.difference(_PARTS)):
        raise InputError(f"--part {unknown[0]}: there are {', '.join(_PARTS)}")
    paces: list[Pace] = []
    votes: list[Voting] = []
    load: Load | None = None
    if "overhead" in wanted:
        paces = measure_overhead(
            model,
            requests=requests,
            tokens=tokens,
            concurrencies=_CONCURRENCIES,
            rounds=rounds,
            note=note,
        )
    if "votes" in wanted:
        given = {"its_hub": its_hub, "optillm": optillm}
        others = {name: python for name, python in given.items() if python}
        votes = measure_votes(
            problems=problems, samples=samples, under_way=8, others=others, note=note
        )
    if "load" in wanted:
        load = measure_load(seconds=seconds, clients=clients, seed=seed, note=note)
    if as_json:
        told = {"overhead": [asdict(one) for one in paces], "votes": [asdict(v) for v in votes]}
        output.print_json({"schema": 1, **told, "load": load and asdict(load)})
        return
    output.print_lines(describe(paces, votes))
    if load is not None:
        before, *after = (f"{each:.0f}" for each in load.megabytes)
        output.print_text(
            f"{load.clients} clients for {load.seconds:g} s: {sum(load.asked.values())} requests, "
            f"{load.unanswered} without an answer, {load.in_flight:g} under way at the end, KV use "
            f"{load.kv_usage:g}; {before} MB before, at each tenth {' '.join(after)}"
        )


def describe(paces: Sequence[Pace], votes: Sequence[Voting]) -> Iterator[str]:
    """Yield the figures as lines for people: medians over the turns."""
    for under_way in dict.fromkeys(pace.concurrency for pace in paces):
        turns = [pace for pace in paces if pace.concurrency == under_way]
        ours = [pace for pace in turns if pace.side == "tts serve"]
        theirs = [pace for pace in turns if pace.side != "tts serve"]
        pairs = list(zip(ours, theirs, strict=True))
        ratio = median(a.tokens_per_second / b.tokens_per_second for a, b in pairs)
        later = median(a.p50_ms - b.p50_ms for a, b in pairs)
        cpu = median(a.cpu_ms / b.cpu_ms for a, b in pairs)
        yield (
            f"{under_way} at once: throughput {ratio:.2f} of vLLM's, p50 {later:+.1f} ms, CPU "
            f"{cpu:.2f}"
        )
    for vote in votes:
        exact = "" if vote.generated is None else f", {vote.counted / vote.generated:.3f} counted"
        yield (
            f"{vote.side}, {vote.samples} samples: {vote.problems_per_second:.2f} problems/s, "
            f"{vote.generated_per_second:.0f} tokens/s, {vote.accuracy:.0%} right{exact}"
        )
