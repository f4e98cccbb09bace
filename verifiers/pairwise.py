"""Attempts compared two at a time by the policy: a knock-out tournament, or a mean win rate.

`knockout`: winners go on until one is left; an attempt's score is the share of rounds that it
survived. `mbr`: an attempt's score is its mean win rate over all others, as in X-MBR (Khairi et al.
2025, "When Life Gives You Samples", arXiv:2506.20544); with `candidates`, the attempts of other
nodes are evidence, and are not compared with each other.

Equal answers are a tie without a question. Every second judgement shows the pair in the other
order, against position bias. A judgement that cannot be read is counted, not guessed: half a win
for each. In a knock-out a tie goes to the earlier attempt. With `engine` another engine of the run
judges.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

from pydantic import Field

from tts import prompts
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import Score, Trajectory
from tts.verifiers._base import EngineName
from tts.verifiers._choice import ask_choice


class Config(Parameters):
    """Options of pairwise comparison."""

    mode: Literal["knockout", "mbr"] = Field(
        "knockout", description="knock-out tournament, or mean win rate over all others"
    )
    k: int = Field(1, ge=1, description="judgements of each pair")
    candidates: str | None = Field(
        None, description="node whose attempts meet all others in mode mbr; any two meet if none"
    )
    engine: EngineName = ""


class Pairwise:
    """Compares attempts with each other."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def spec(self) -> VerifierSpec:
        """Sees all attempts at once; its values rank, they are no probabilities."""
        needs = frozenset({"own_prompts"})
        return VerifierSpec(needs=needs, compares=True, engine=self._config.engine)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Score attempts that have an answer; the others have an error."""
        context = context.asking(self._config.engine)
        entrants = [i for i, t in enumerate(trajectories) if t.answer is not None]
        play = self._knockout if self._config.mode == "knockout" else self._mean_wins
        value_by_index = await play(context, trajectories, entrants)
        return [
            Score(value_by_index[i])
            if i in value_by_index
            else Score(None, error="the attempt has no answer")
            for i in range(len(trajectories))
        ]

    async def aclose(self) -> None:
        """Owns nothing."""

    async def _knockout(
        self, context: Context, attempts: Sequence[Trajectory], entrants: Sequence[int]
    ) -> Mapping[int, float]:
        survived = dict.fromkeys(entrants, 0)
        standing, rounds = list(entrants), 0
        while len(standing) > 1:
            rounds += 1
            pairs = list(zip(standing[::2], standing[1::2], strict=False))
            shares = await self._judge_all(context, attempts, pairs)
            winners = [a if shares[a, b] >= 0.5 else b for a, b in pairs]
            standing = winners + standing[2 * len(pairs) :]
            for i in standing:
                survived[i] += 1
        return {i: wins / max(1, rounds) for i, wins in survived.items()}

    async def _mean_wins(
        self, context: Context, attempts: Sequence[Trajectory], entrants: Sequence[int]
    ) -> Mapping[int, float]:
        pairs = [
            (a, b)
            for a, b in combinations(entrants, 2)
            if self._is_candidate(attempts[a]) or self._is_candidate(attempts[b])
        ]
        won: dict[int, list[float]] = {i: [] for i in entrants}
        for (a, b), share in (await self._judge_all(context, attempts, pairs)).items():
            won[a].append(share)
            won[b].append(1.0 - share)
        return {i: math.fsum(shares) / max(1, len(shares)) for i, shares in won.items()}

    async def _judge_all(
        self,
        context: Context,
        attempts: Sequence[Trajectory],
        pairs: Sequence[tuple[int, int]],
    ) -> Mapping[tuple[int, int], float]:
        """Return the share of judgements that the first of each pair won."""
        async with asyncio.TaskGroup() as group:
            tasks = {
                (a, b): group.create_task(self._judge(context, attempts[a], attempts[b]))
                for a, b in pairs
            }
        return {pair: task.result() for pair, task in tasks.items()}

    async def _judge(self, context: Context, first: Trajectory, second: Trajectory) -> float:
        groups = context.answers()
        if await groups.add(first.answer) == await groups.add(second.answer):
            return 0.5
        won = 0.0
        for number in range(self._config.k):
            swapped = number % 2 == 1
            shown = (second, first) if swapped else (first, second)
            texts = [prompts.solution_part(t.text) for t in shown]
            prompt = prompts.choose(context.problem, texts)
            label = f"{first.id}\x1f{second.id}\x1f{number}"
            choice = await ask_choice(context, prompt, shown, label)
            won += 0.5 if choice is None else float((choice == 0) != swapped)
        return won / self._config.k

    def _is_candidate(self, attempt: Trajectory) -> bool:
        name = self._config.candidates
        return name is None or attempt.origin.node.rpartition("/")[2] == name


def build(config: Config) -> Pairwise:
    """Return the verifier; it asks engines of the run."""
    return Pairwise(config)
