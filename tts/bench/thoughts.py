"""Where a verifier would end recorded thoughts: TrimR with a real verifier on real texts."""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import Annotated, Any

import typer

from tts.answers.canonical import canonical_form
from tts.console import flags, output
from tts.engine.pools import load_pool
from tts.engine.scripted import INFO, Ask, Line, Script, ScriptedEngine
from tts.engine.vllm import VLLMEngine
from tts.errors import InputError
from tts.operators.trim import Trim, whole_parts
from tts.parts.build import build_part
from tts.pipeline import Pipeline
from tts.protocols import Engine
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.types import Problem, Sampling
from tts.types.thought import THOUGHT_END, THOUGHT_START

_VERIFIER = "verifier"
_CHARACTERS = 400  # of a slice: about 128 tokens
_CONTEXT = 10**6  # characters
_BINS = (1, 2, 11, 41, 61, 101, _CONTEXT)  # of numbers of parts


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded thought; whether its answer is right, and whether it had ended by itself."""

    problem: Problem
    text: str
    is_right: bool
    has_ended: bool = True


@dataclass(frozen=True, slots=True)
class Read:
    """What a verifier made of a recorded thought.

    Attributes:
        problem: Its id.
        is_right: Whether the recorded answer is right.
        size: Characters of the thought.
        kept: Characters up to where it was ended; all where it was not.
        end: Why it was ended: "settled" or "unsettled"; empty where it was not.
        parts: In what was kept.
        questions: That the verifier was asked.
        has_right: Whether the right answer is written in what was kept.
    """

    problem: str
    is_right: bool
    size: int
    kept: int
    end: str
    parts: int
    questions: int
    has_right: bool


def thoughts(
    pool: Annotated[
        str, typer.Argument(help="Recorded samples with texts of thinking models.", metavar="POOL")
    ],
    benchmark: Annotated[
        str, typer.Option("--benchmark", help="Where the pool's problems are.", metavar="NAME")
    ] = "math500",
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="The verifier, run by the embedded vLLM; none: count parts only."
        ),
    ] = None,
    limit: flags.LimitFlag = None,
    seed: flags.SeedFlag = 0,
    as_json: flags.JsonFlag = False,
) -> None:
    """Let a verifier read recorded thoughts, and say where it would have ended them.

    The thoughts are played to the strategy `trimr` as they were recorded, 400 characters at a time,
    so that parts, questions and rules are those of a run; the answer after an end is not drawn.
    Without --limit all thoughts are read that had ended by themselves and have a reflection word.

    Example: tts bench thoughts math100_r1distill_llama8b_text.jsonl.gz --limit 40 --model M
    """
    recorded = load_recorded(pool, benchmark)
    counts = [(one, len(_parts(one.text))) for one in recorded]
    reflecting = [one for one, count in counts if count > 1 and one.has_ended]
    shares = [after_right(one) for one in reflecting if one.is_right]
    found: dict[str, Any] = {
        "thoughts": len(recorded),
        "ended": sum(one.has_ended for one in recorded),
        "reflecting": len(reflecting),
        "after_right": fmean(shares) if shares else 0.0,
        "right_by_parts": [
            {"from": low, "to": high, "thoughts": len(some), "right": fmean(some)}
            for low, high in pairwise(_BINS)
            if (some := [one.is_right for one, count in counts if low <= count < high])
        ],
    }
    done: list[Read] = []
    if model is not None:
        random.Random(seed).shuffle(reflecting)
        done = asyncio.run(_read_all(model, reflecting[:limit], seed))
    if as_json:
        output.print_json({"schema": 1, "seed": seed, **found, "read": list(map(asdict, done))})
        return
    output.print_lines(_describe(found))
    output.print_lines(describe(done))


def load_recorded(address: str, benchmark: str) -> list[Recorded]:
    """Return the thoughts of a pool with their problems.

    Raises:
        InputError: There are none, or the benchmark has not their problems.
    """
    known = {
        problem.id: problem for problem in build_part("benchmark", benchmark, {}).problems("test")
    }
    found = []
    for one in load_pool(address).problems:
        problem = known.get(one.problem.id)
        for sample in one.samples if problem else ():
            text, closed, _ = sample.text.partition(THOUGHT_END)
            if problem is not None and text and sample.correct is not None:
                text = text.removeprefix(THOUGHT_START)
                found.append(Recorded(problem, text, sample.correct, bool(closed)))
    if not any(one.has_ended for one in found):
        raise InputError(f"{address}: no thought that had ended, of a problem of {benchmark}")
    return found


def after_right(one: Recorded) -> float:
    """Return the share of a thought that follows the part in which the right answer first stands.

    Standing there is not yet being the answer: this bounds what an early end can save.
    """
    start = 0
    for end in _parts(one.text):
        if _mentions(one.text[start:end], one.problem.reference):
            return 1 - end / len(one.text)
        start = end
    return 0.0


def describe(done: Sequence[Read]) -> Iterator[str]:
    """Yield what came of it, as lines for people."""
    for name in ("right", "wrong") if done else ():
        some = [one for one in done if one.is_right == (name == "right")]
        if not some:
            continue
        ends = [one.end for one in some if one.end]
        kept = sum(one.kept for one in some) / sum(one.size for one in some)
        yield (
            f"{len(some)} thoughts that came to a {name} answer: {ends.count('settled')} ended as "
            f"settled, {ends.count('unsettled')} as unsettled; {kept:.0%} of the text kept, "
            f"{fmean(one.questions for one in some):.1f} questions each"
        )
    if ended := [one for one in done if one.end and one.is_right]:
        yield (
            f"of the {len(ended)} right ones that were ended, {sum(o.has_right for o in ended)} "
            "have the right answer in what was kept"
        )


def _describe(found: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{found['thoughts']} thoughts, {found['ended']} had ended, {found['reflecting']} of these "
        "with a reflection word"
    )
    yield (
        f"{found['after_right']:.0%} of a right one's text follows the part in which its answer "
        "first stands"
    )
    for row in found["right_by_parts"]:
        more = row["to"] == _CONTEXT
        parts = f"{row['from']} or more" if more else f"{row['from']} to {row['to'] - 1}"
        yield f"{parts} parts: {row['right']:.0%} of {row['thoughts']} are right"


def _parts(text: str) -> list[int]:
    settings = Trim()
    return [*whole_parts(text, settings.reflection, settings.shortest), len(text)]


def _mentions(text: str, answer: str | None) -> bool:
    wanted = canonical_form(answer or "", "math")
    return wanted in canonical_form(text, "math") if wanted else False


async def _read_all(model: str, recorded: Sequence[Recorded], seed: int) -> list[Read]:
    done: list[Read] = []
    async with VLLMEngine(model) as verifier:
        for number, one in enumerate(recorded, start=1):
            done.append(await read(verifier, one, seed))
            output.print_note(f"{number} of {len(recorded)}: {done[-1].end or 'not ended'}")
    return done


async def read(verifier: Engine, one: Recorded, seed: int) -> Read:
    """Return what a verifier makes of a recorded thought."""
    policy = ScriptedEngine(play(one.text), info=replace(INFO, context_tokens=_CONTEXT))
    size = len(one.text)
    trim = Trim(verifier=_VERIFIER, interval=_CHARACTERS, max_thinking=max(size, 1) * 2)
    job = Job(Pipeline.of(trim), one.problem, Sampling(max_tokens=size + 1), seed=seed)
    async with Runtime(policy, engines={_VERIFIER: verifier}) as runtime:
        result = await runtime.run(job)
    said = result.trajectories[0].text if result.trajectories else ""
    kept, end = size, ""
    for name, words in (("settled", trim.settled), ("unsettled", trim.unsettled)):
        if words in said:
            kept, end = len(said.partition(words)[0].rstrip()), name
    text = one.text[:kept]
    return Read(
        problem=one.problem.id,
        is_right=one.is_right,
        size=size,
        kept=kept,
        end=end,
        parts=len(_parts(text)),
        questions=result.usage.checking_tokens or 0,
        has_right=_mentions(text, one.problem.reference),
    )


def play(text: str) -> Script:
    """Return a script that goes on with a thought from where it is, and ends it."""

    def line(ask: Ask) -> Line:
        _, _, so_far = ask.prompt.rpartition(f"<assistant>{THOUGHT_START}\n")
        is_over = THOUGHT_END in so_far
        return Line("" if is_over else text[len(so_far) :] + THOUGHT_END, ticks=1)

    return line
