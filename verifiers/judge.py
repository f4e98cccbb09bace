"""Generative verification: the policy checks an attempt `k` times, the verdicts give a probability.

Source: Singhi et al. 2025, "When To Solve, When To Verify", arXiv:2504.01005 (GenRM). With
`frequency` the score is the share of checks that end in "correct"; with `logprob` it is the mean
probability of that verdict: of the drawn verdict's tokens p, taken as p for "correct" and as 1 - p
for "incorrect". A check whose verdict cannot be read is counted in the trace and left out of the
mean, never guessed; there, an attempt without any verdict scores 0, here it has an error.

The checks are generated through the run, so that they are within its budget. With `engine` another
engine of the run makes them (`Runtime(policy, engines={"judge": ...})`), at its own model's cost.
"""

import math
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from pydantic import Field

from tts import prompts
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import Completion, GenerationRequest, Prompt, Sampling, Score, Trajectory
from tts.verifiers._base import EngineName

_VERDICT_STOP = "Verdict:"
_VERDICT_TOKENS = 16


class Config(Parameters):
    """Options of the judge; the source goes up to 32 checks, at temperature 0.7."""

    k: int = Field(4, ge=1, description="checks of each attempt")
    reads: Literal["frequency", "logprob"] = Field(
        "frequency",
        description="what is read of a check: its verdict, or the verdict's probability",
    )
    max_tokens: int | None = Field(
        None, ge=1, description="most tokens of a check; the sampling profile's if none"
    )
    temperature: float | None = Field(
        None, ge=0, description="temperature of a check; the sampling profile's if none"
    )
    engine: EngineName = ""


class Judge:
    """Asks the policy, or a model of its own, whether an attempt is right."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def spec(self) -> VerifierSpec:
        """A probability; `logprob` needs log-probabilities and prompts of token ids."""
        reads = {"logprobs", "token_ids"} if self._config.reads == "logprob" else set()
        needs = frozenset({"own_prompts"} | reads)
        return VerifierSpec(needs=needs, unit_interval=True, engine=self._config.engine)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Check each trajectory."""
        context = context.asking(self._config.engine)
        return [await self._score(context, trajectory) for trajectory in trajectories]

    async def aclose(self) -> None:
        """Owns nothing."""

    async def _score(self, context: Context, trajectory: Trajectory) -> Score:
        reads_logprob = self._config.reads == "logprob"
        check = self._probabilities_by_token if reads_logprob else self._verdicts
        values = await check(context, trajectory)
        readable = [value for value in values if value is not None]
        context.emit("judge", id=trajectory.id, checks=len(values), readable=len(readable))
        if not values:
            return Score(None, error="the budget left nothing for a check")
        if not readable:
            return Score(None, error=f"none of {len(values)} checks has a readable verdict")
        return Score(math.fsum(readable) / len(readable))

    async def _verdicts(self, context: Context, trajectory: Trajectory) -> list[float | None]:
        verdicts: list[float | None] = []
        for completion in await self._check(context, trajectory, self._sampling(context)):
            verdict = prompts.parse_verdict(completion.text)
            verdicts.append(None if verdict is None else float(verdict))
        return verdicts

    async def _probabilities_by_token(
        self, context: Context, trajectory: Trajectory
    ) -> list[float | None]:
        """Let every check run up to its verdict, then draw that alone, with its probability."""
        sampling = self._sampling(context)
        sampling = replace(sampling, stop=(*sampling.stop, _VERDICT_STOP))
        checks = await self._check(context, trajectory, sampling)
        return [
            await self._verdict_probability(context, trajectory, completion)
            for completion in sorted(checks, key=lambda c: c.index)
        ]

    async def _check(
        self, context: Context, trajectory: Trajectory, sampling: Sampling
    ) -> list[Completion]:
        prompt = prompts.verify(context.problem, prompts.solution_part(trajectory.text))
        seed = context.seed(f"judge\x1f{trajectory.id}")
        request = GenerationRequest(prompt, sampling, n=self._config.k, seed=seed)
        async with aclosing(context.generate(request)) as stream:
            return [completion async for completion in stream]

    async def _verdict_probability(
        self, context: Context, trajectory: Trajectory, check: Completion
    ) -> float | None:
        if check.stop_string != _VERDICT_STOP:
            return None
        sampling = replace(
            self._sampling(context),
            max_tokens=_VERDICT_TOKENS,
            stop=("\n",),
            logprobs=1,
        )
        seed = context.seed(f"verdict\x1f{trajectory.id}\x1f{check.index}")
        prompt = Prompt(token_ids=check.prompt_token_ids + check.token_ids)
        request = GenerationRequest(prompt, sampling, seed=seed)
        async with aclosing(context.generate(request)) as stream:
            async for completion in stream:
                verdict = prompts.parse_verdict(f"{_VERDICT_STOP}{completion.text}")
                if verdict is None or not completion.logprobs:
                    return None
                drawn = math.exp(math.fsum(completion.logprobs))
                return drawn if verdict else 1.0 - drawn
        return None

    def _sampling(self, context: Context) -> Sampling:
        config, profile = self._config, context.sampling
        return replace(
            profile,
            logprobs=None,
            max_tokens=config.max_tokens or profile.max_tokens,
            temperature=(profile.temperature if config.temperature is None else config.temperature),
        )


def build(config: Config) -> Judge:
    """Return the verifier; it asks engines of the run."""
    return Judge(config)
