"""The run: one child for each island at a time (OpenEvolve, github.com/codelion/openevolve).

A resumed run makes the same decisions again: answers come from the log and scores from
`programs.jsonl`, so that only what is missing is paid for and evaluated, and budgets hold over all
sessions.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from tts.errors import EngineError, InputError
from tts.evolution.parents import Choice, choose
from tts.evolution.population import Population, Program
from tts.evolution.prompt import Rejected, Way, ask, to_child
from tts.evolution.store import Child, Store
from tts.operators.sample import sample
from tts.parts.parameters import Parameters
from tts.prompts import without_thought
from tts.seeds import derive_seed
from tts.session.runtime import Runtime
from tts.types import Problem, Result, Sampling, Usage
from tts.verifiers.evaluator import HELD_OUT, Evaluator, EvaluatorVerifier


class Config(Parameters):
    """Parameters of an evolution; defaults are OpenEvolve's (github.com/codelion/openevolve)."""

    way: Way = Field("diff", description="what the model is asked for: changes, or whole programs")
    islands: int = Field(5, ge=1, le=64, description="populations that evolve side by side")
    migrate_every: int = Field(
        50, ge=1, description="rounds, of one child for each island, between migrations"
    )
    migrate_share: float = Field(
        0.1, gt=0, le=1, description="part of an island that moves to both its neighbours"
    )
    explore: float = Field(0.2, ge=0, le=1, description="chance of any program as a parent")
    exploit: float = Field(0.7, ge=0, le=1, description="chance of one of the best as a parent")
    top: int = Field(3, ge=0, description="best programs that are shown beside the parent")
    diverse: int = Field(2, ge=0, description="programs unlike the parent that are shown, too")
    bins: int = Field(10, ge=1, description="ranges of length, and of unlikeness, on an island")
    archive: int = Field(100, ge=1, description="best programs of all islands that are kept")
    max_chars: int = Field(10_000, ge=1, description="longest program that is accepted")
    temperature: float = Field(0.7, ge=0, description="of sampling")
    top_p: float = Field(0.95, gt=0, le=1, description="of sampling")
    max_tokens: int = Field(4096, ge=1, description="most tokens of an answer")


@dataclass(frozen=True, slots=True)
class Found:
    """What came of an evolution.

    Attributes:
        first: The program that it began with.
        best: The best one.
        asked: Children that the model was asked for.
        scored: Those of them that have a score.
        rejected: How often each reason kept one from being evaluated.
        held_out: Measures of the first and of the best program that nobody chose by; None each
            where the evaluator has none, or it failed.
        ended: Why it ended before all its rounds; empty if it did not.
        usage: Everything spent, in all sessions.
    """

    first: Program
    best: Program
    asked: int
    scored: int
    rejected: Mapping[str, int]
    held_out: tuple[float | None, float | None]
    ended: str
    usage: Usage


class Evolution:
    """Evolves a program on a runtime.

    Args:
        runtime: Its log must be `GENERATIONS` of the folder.
        verifier: Runs the evaluator.
        evaluator: Measures programs.
        code: The program to begin with.
        config: Parameters.
        folder: Where it is kept.
        seed: The same seed makes the same choices.
    """

    def __init__(
        self,
        runtime: Runtime,
        verifier: EvaluatorVerifier,
        evaluator: Evaluator,
        code: str,
        config: Config,
        *,
        folder: Path,
        seed: int = 0,
    ) -> None:
        self._runtime, self._verifier, self._evaluator = runtime, verifier, evaluator
        self._code, self._config, self._folder, self._seed = code, config, folder, seed
        self._population = Population(config.islands, bins=config.bins, archive=config.archive)
        self._pipeline = sample(n=1)
        self._children: list[Child] = []
        self._seen = {code}

    async def run(self, iterations: int, tell: Callable[[Program], None]) -> Found:
        """Ask for so many children.

        Args:
            iterations: Children in all, those of earlier sessions included.
            tell: Called with every program that is better than all before.

        Raises:
            InputError: The program to begin with has no score; or the folder holds another.
            EngineError: The model is lost, or gives nothing.
        """
        with closing(Store.open(self._folder, self._head())) as store:
            first = await self._begin(store)
            ended, number = "", 1
            while number <= iterations and not ended:
                numbers = range(number, min(number + self._config.islands, iterations + 1))
                ended = await self._round(store, numbers, tell)
                number = numbers.stop
                if (number - 1) % (self._config.islands * self._config.migrate_every) == 0:
                    self._population.migrate(self._config.migrate_share)
        best = self._population.best
        rejected = [child.rejected for child in self._children if child.rejected]
        return Found(
            first=first,
            best=best,
            asked=len(self._children),
            scored=sum(bool(c.evaluated and c.evaluated.score is not None) for c in self._children),
            rejected={reason: rejected.count(reason) for reason in sorted(set(rejected))},
            held_out=(await self._held_out(first), await self._held_out(best)),
            ended=ended,
            usage=self._runtime.usage,
        )

    def _head(self) -> dict[str, Any]:
        def digest(text: str) -> str:
            return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

        return {
            "program": digest(self._code),
            "evaluator": digest(self._evaluator.text),
            "seed": self._seed,
            **self._config.model_dump(),
        }

    async def _begin(self, store: Store) -> Program:
        """Put the first program on every island."""
        child = await self._evaluated(store, Child(0, 0, None, self._code))
        said = child.evaluated
        assert said is not None
        if said.score is None:
            raise InputError(f"the program to begin with has no score: {said.error}")
        store.add(child)
        first = Program(0, self._code, said.score, said.metrics, said.notes)
        for island in range(self._config.islands):
            self._population.add(first, island)
        return first

    async def _round(self, store: Store, numbers: range, tell: Callable[[Program], None]) -> str:
        """Make one child for each island; return why there can be no more."""
        choices = {number: self._choose(number) for number in numbers}
        answers = await self._ask(choices)
        made = [
            self._made(number, answers[number], choice.parent) for number, choice in choices.items()
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._evaluated(store, child)) for child in made]
        for child in (task.result() for task in tasks):
            self._children.append(child)
            if answers[child.number].samples:
                store.add(child)
            self._add(store, child, tell)
        lost = [answer for answer in answers.values() if not answer.samples]
        ends = [_limit(answer) for answer in lost if _limit(answer)]
        if len(lost) == len(numbers) and not ends:
            raise EngineError(f"the model gave no answer: {lost[0].reason}")
        return ends[0] if ends else ""

    def _choose(self, number: int) -> Choice:
        config = self._config
        return choose(
            self._population,
            self._island(number),
            random.Random(derive_seed(self._seed, _problem_id(number), "parent")),
            explore=config.explore,
            exploit=config.exploit,
            top=config.top,
            diverse=config.diverse,
        )

    def _island(self, number: int) -> int:
        return (number - 1) % self._config.islands

    async def _ask(self, choices: Mapping[int, Choice]) -> dict[int, Result]:
        config = self._config
        problems = {_problem_id(number): number for number in choices}
        asked = [
            Problem(name, ask(choices[number], config.way), answer_type="free")
            for name, number in problems.items()
        ]
        sampling = Sampling(
            temperature=config.temperature, top_p=config.top_p, max_tokens=config.max_tokens
        )
        answers: dict[int, Result] = {}
        async with self._runtime.run_many(
            self._pipeline, asked, sampling=sampling, seed=self._seed
        ) as results:
            async for result in results:
                answers[problems[result.problem.id]] = result
        return answers

    def _made(self, number: int, answer: Result, parent: Program) -> Child:
        island = self._island(number)
        if not answer.samples:  # another time it may have one, so it is not kept
            return Child(number, island, parent.number, rejected=f"no answer: {answer.reason}")
        text = without_thought(answer.samples[0].text)
        try:
            code = to_child(text, parent.code, max_chars=self._config.max_chars)
        except Rejected as reason:
            return Child(number, island, parent.number, rejected=str(reason))
        if code in self._seen:
            return Child(number, island, parent.number, code, rejected="it is a copy")
        self._seen.add(code)
        return Child(number, island, parent.number, code)

    async def _evaluated(self, store: Store, child: Child) -> Child:
        """Return a child with what the evaluator says of it, or has said."""
        if child.rejected:
            return child
        said = store.known.get(child.code)
        said = said or await self._verifier.evaluate(self._evaluator, child.code)
        return replace(child, evaluated=said)

    def _add(self, store: Store, child: Child, tell: Callable[[Program], None]) -> None:
        said = child.evaluated
        if said is None or said.score is None:
            return
        before = self._population.best
        program = Program(
            child.number, child.code, said.score, said.metrics, said.notes, child.parent
        )
        self._population.add(program, child.island)
        if program.score > before.score:
            store.save_best(program)
            tell(program)

    async def _held_out(self, program: Program) -> float | None:
        if not self._evaluator.has_held_out:
            return None
        said = await self._verifier.evaluate(self._evaluator, program.code, stages=[HELD_OUT])
        return said.score


def _limit(answer: Result) -> str:
    """Return which limit left no room for an answer; empty where none did."""
    return answer.facts.shortfall or ("the time is up" if answer.facts.is_expired else "")


def _problem_id(number: int) -> str:
    return f"program {number}"
