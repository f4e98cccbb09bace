"""Whole runs against a server that misbehaves at random in every way that is known by name."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tts.bench.servers.forms import KINDS, Kind, befall, count_pieces
from tts.bench.servers.misbehaving import Asked, Reply, Server
from tts.engine.openai import OpenAIEngine
from tts.errors import TTSError
from tts.evals.runner import Plan, evaluate
from tts.evals.stored_run import load_run
from tts.presets.load import load_preset
from tts.types import Budget, Grade, Problem
from tts.types.figures import Summary

SAMPLES = 4
_PROBLEMS = 400  # of a run, at most
_TOKENS = 16  # of a sample, at most
_BUDGET = 0.3  # of every other run: this part of the most that its samples may take
_SHARE = 0.5  # of the calls, to which something happens
_RARE = ("silence", "drips", "nobody", "429", "status")  # how their names begin
_RARELY = 0.1  # as often as others, for all calls wait for them
_PATIENCE_SECONDS = 300.0  # with a run
_KEY = "sk-0123456789-never-to-be-shown"


@dataclass(frozen=True, slots=True)
class ServerRun:
    """A run against one kind of server, and what became of it.

    Attributes:
        kind: Of server.
        faults: Calls that it answered badly, by form.
        problems: All of them.
        answered: Rightly.
        unanswered: Named as unfinished; all were answered when the server was in order again.
        refused: Left without an answer for what the server or the budget refused, and saying so.
        tokens: That the server sent.
        budget: Of tokens; None for none.
        lost: What broke a promise; empty if nothing did.
    """

    kind: str
    faults: Mapping[str, int]
    problems: int
    answered: int = 0
    unanswered: int = 0
    refused: int = 0
    tokens: int = 0
    budget: int | None = None
    lost: str = ""

    @property
    def num_faults(self) -> int:
        """Calls that were answered badly."""
        return sum(self.faults.values())


def measure_server(
    root: Path, *, tries: int, concurrency: int, seed: int, note: Callable[[str], None]
) -> list[ServerRun]:
    """Run against one kind of server after the other, until so many calls were answered badly.

    Args:
        root: Takes the run folders.
        tries: Calls.
        concurrency: Calls that are under way together.
        seed: Of what happens.
        note: Told of each run.
    """
    done: list[ServerRun] = []
    draw = random.Random(seed)
    while (left := tries - sum(run.num_faults for run in done)) > 0:
        name = list(KINDS)[len(done) % len(KINDS)]
        problems = min(_PROBLEMS, max(SAMPLES, left))
        budget = int(_BUDGET * problems * SAMPLES * _TOKENS) if len(done) % 2 else None
        bench = _Bench(name, KINDS[name], random.Random(draw.random()), root / str(len(done)))
        run = asyncio.run(bench.run(problems, budget, concurrency))
        note(
            f"{name}: {run.num_faults} faulty calls, {run.problems} problems: {run.answered} "
            f"answered, {run.unanswered} named unfinished, {run.refused} refused; "
            f"{run.lost or 'survived'}"
        )
        done.append(run)
    return done


@dataclass
class _Bench:
    """One server, and the runs against it.

    Attributes:
        name: Of the kind of server.
        kind: What it does not take.
        draw: Says what happens.
        root: Of the run folder.
        faults: What happened, by form.
        tokens: That it has sent.
        is_faulty: Something happens.
    """

    name: str
    kind: Kind
    draw: random.Random
    root: Path
    faults: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    is_faulty: bool = True

    async def run(self, num_problems: int, budget: int | None, concurrency: int) -> ServerRun:
        """Run, and once more with the server in order."""
        problems = tuple(
            Problem(id=f"p{i}", statement=f"Say {i}.", reference=str(i), answer_type="integer")
            for i in range(num_problems)
        )
        plan = Plan(
            "say",
            problems,
            lambda problem, answer: Grade(answer.canonical == problem.reference),
            load_preset("self_consistency", [f"n={SAMPLES}", f"sampling.max_tokens={_TOKENS}"]),
            options={"engine": "server"},
            run_budget=None if budget is None else Budget(tokens=budget),
        )
        server = Server(self._answer, self.kind.lists)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), server.running():
                summary = await self._evaluate(plan, server, concurrency)
                run = self._judge(plan, summary, concurrency)
                if summary.unanswered and not run.lost:
                    self.is_faulty = False
                    rest = await self._evaluate(plan, server, concurrency)
                    if rest.unanswered:
                        run = replace(run, lost=f"{len(rest.unanswered)} problems stay unfinished")
                return run
        except TimeoutError:
            lost = f"hangs for {_PATIENCE_SECONDS:g} s"
        except TTSError as error:
            lost = f"the run ended: {error}"
        return ServerRun(self.name, dict(self.faults), num_problems, lost=lost)

    async def _evaluate(self, plan: Plan, server: Server, concurrency: int) -> Summary:
        engine = OpenAIEngine(
            "m",
            base_url=server.url,
            api_key=_KEY,
            concurrency=concurrency,
            timeout=2.0,
            read_timeout=0.5,
            connect_timeout=1.0,
        )
        async with engine:
            return await evaluate(plan, engine, root=self.root)

    def _answer(self, asked: Asked) -> Reply:
        refused = self.kind.refuse(asked)
        if refused is not None:
            return refused
        number = asked.body["messages"][-1]["content"].split("Say ")[1].split(".")[0]
        samples = [
            [*["x"] * self.draw.randrange(_TOKENS), rf"\boxed{{{number}}}"] for _ in range(asked.n)
        ]
        if not self.is_faulty or self.draw.random() > _SHARE:
            reply = self.kind.answer(asked, samples)
        else:
            forms = befall(asked, samples)
            weights = [_RARELY if name.startswith(_RARE) else 1.0 for name in forms]
            (name,) = self.draw.choices(list(forms), weights)
            self.faults[name] += 1
            reply = forms[name]
        self.tokens += count_pieces(reply, samples)
        return reply

    def _judge(self, plan: Plan, summary: Summary, concurrency: int) -> ServerRun:
        """Hold what a run left behind against what it promises."""
        folder = Path(summary.out)
        records = load_run(folder).records
        answered = sum(record.correct is True for record in records)
        wrong = [record.id for record in records if record.answer and not record.correct]
        mute = [record.id for record in records if not record.answer and not record.error]
        known = Counter([record.id for record in records] + list(summary.unanswered))
        most = None if plan.run_budget is None else plan.run_budget.tokens
        slack = concurrency * SAMPLES * _TOKENS
        faults = {
            f"{len(wrong)} wrong answers": bool(wrong),
            f"{len(mute)} problems without an answer or a reason": bool(mute),
            "not every problem is named once": known != Counter(p.id for p in plan.problems),
            f"{self.tokens} tokens for a budget of {most}": most is not None
            and self.tokens > most + slack,
            "the key is in the run's folder": any(
                _KEY.encode() in path.read_bytes() for path in folder.iterdir()
            ),
        }
        return ServerRun(
            self.name,
            dict(self.faults),
            len(plan.problems),
            answered=answered,
            unanswered=len(summary.unanswered),
            refused=len(records) - answered,
            tokens=self.tokens,
            budget=most,
            lost="; ".join(fault for fault, holds in faults.items() if holds),
        )
