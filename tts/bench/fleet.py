"""Several engines as one: the pace of 2 and 4 servers and actors, prefixes, kills."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from tts.bench.fleet_run import WORKLOADS, Actors, Pace, measure_actors, measure_servers
from tts.console import flags, output
from tts.errors import InputError

RAY = "ray"


def fleet(
    parts: Annotated[
        list[str] | None,
        typer.Option(
            "--part",
            metavar="NAME",
            help=f"Measure one of {', '.join(WORKLOADS)} on servers, or {RAY}. Repeat it for more.",
        ),
    ] = None,
    problems: Annotated[
        int, typer.Option("--problems", min=8, help="Problems of the task chain.")
    ] = 128,
    rate: Annotated[
        float, typer.Option("--rate", min=1.0, help="Tokens a second of a sample that runs.")
    ] = 100.0,
    length: Annotated[int, typer.Option("--length", min=40, help="Most tokens of a sample.")] = 120,
    kills: Annotated[
        int, typer.Option("--kills", min=0, help="Actors that are killed, in the part ray.")
    ] = 20,
    seed: flags.SeedFlag = 0,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure what several engines of fixed rate make of the work of one.

    Mock servers on loopback run 32 samples at once, each at a fixed rate, and keep a prefix cache:
    1, 2 and 4 of them are asked by self-consistency, adaptive consistency and beam search, unless
    --part names others. In the part ray the same kind of engine runs in 1 and 4 actors of a real
    cluster; then actors are killed while a run goes on, and its results are held against those of
    an undisturbed one.

    Example: tts bench fleet --problems 128 --part self_consistency
    """
    wanted = list(dict.fromkeys(parts or WORKLOADS))
    if unknown := sorted({*wanted}.difference(WORKLOADS, [RAY])):
        raise InputError(f"--part {unknown[0]}: there are {', '.join([*WORKLOADS, RAY])}")
    output.print_note(f"{problems} problems, samples of up to {length} tokens, {rate:g} a second")
    servers = [name for name in wanted if name != RAY]
    paces = output.run_async(
        _servers(servers, problems, rate, length, seed), if_interrupted="interrupted"
    )
    said = list(_say_servers(paces))
    values: dict[str, object] = {name: [asdict(p) for p in found] for name, found in paces.items()}
    if RAY in wanted:
        work = measure_actors(
            actors=4,
            problems=problems,
            rate=rate,
            length=length,
            kills=kills,
            seed=seed,
            note=output.print_note,
        )
        figures = output.run_async(work, if_interrupted="interrupted")
        said += _say_actors(figures)
        values[RAY] = asdict(figures)
    if as_json:
        output.print_json({"schema": 1, "problems": problems, "rate": rate, "figures": values})
        return
    output.print_lines(said)


async def _servers(
    names: Sequence[str], problems: int, rate: float, length: int, seed: int
) -> dict[str, list[Pace]]:
    found: dict[str, list[Pace]] = {}
    for name in names:
        for engines in (1, 2, 4):
            pace = await measure_servers(
                name, engines=engines, problems=problems, rate=rate, length=length, seed=seed
            )
            output.print_note(f"{name} on {engines}: {pace.wall_seconds:.1f} s")
            found.setdefault(name, []).append(pace)
    return found


def _say_servers(paces: Mapping[str, Sequence[Pace]]) -> Iterator[str]:
    for name, (alone, *several) in paces.items():
        yield (
            f"{name}, 1 server: {alone.tokens_per_second:,.0f} tokens/s, "
            f"{alone.cached_share:.1%} of the prompts cached"
        )
        for pace in several:
            faster = pace.tokens_per_second / alone.tokens_per_second
            yield (
                f"  {pace.engines} servers: pace {faster:.2f}, "
                f"{pace.cached_share:.1%} cached ({pace.cached_share / alone.cached_share:.1%}), "
                f"tokens counted {pace.tokens:,} of {pace.generated_tokens:,}"
            )


def _say_actors(figures: Actors) -> Iterator[str]:
    one, several = figures.pace
    yield f"{figures.actors} actors to 1: pace {several / one:.2f}"
    yield (
        f"overhead a problem: CPU {figures.cpu_seconds_per_problem * 1e3:.1f} ms, "
        f"wall {figures.wall_seconds_per_problem * 1e3:.1f} ms"
    )
    yield (
        f"{figures.kills} actors killed: {figures.redrawn} calls made again, {figures.lost} "
        f"results lost or other than undisturbed, {figures.doubled} samples doubled"
    )
