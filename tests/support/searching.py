"""Search trees made by hand, and whole searches in a world of digits on the scripted engine.

In that world a step is "d" and a digit, which is the last digit of the sample's seed; after `depth`
steps comes the solution, the boxed sum of the digits. The verifier likes large digits.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tts.engine.scripted import Ask, Line, Script, ScriptedEngine, encode
from tts.operators.tree_search import TreeSearch
from tts.pipeline import Pipeline
from tts.protocols import Context, Engine, VerifierSpec
from tts.runtime.job import Job
from tts.runtime.log import GenerationLog
from tts.runtime.runtime import Runtime
from tts.search.policy import SearchPolicy
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.types import Budget, Problem, Result, Sampling, Score, Trajectory

PROBLEM = Problem(id="p", statement="Sum the digits.", answer_type="integer")
RNG = np.random.default_rng(0)


def whole(say: Script) -> Script:
    """Let a script of steps say whole solutions too, where one is asked for in one request."""

    def script(ask: Ask) -> Line:
        said = ""
        while True:
            line = say(replace(ask, prompt=ask.prompt + said))
            if not ask.request.sampling.offsets:
                return line
            step, separator, _ = line.text.partition("\n\n")
            said += step + separator
            if not separator:
                return replace(line, text=said)

    return script


def digits(depth: int = 3) -> Script:
    def say(ask: Ask) -> Line:
        steps = steps_of(ask)
        if len(steps) < depth:
            return Line(f"d{ask.seed % 10}\n\nand more")
        return Line(rf"so \boxed{{{sum(int(step[1]) for step in steps)}}}")

    return whole(say)


def steps_of(ask: Ask) -> list[str]:
    """Return the finished steps in a sequence's prompt."""
    return ask.prompt.rpartition("<assistant>")[2].split("\n\n")[:-1]


class DigitVerifier:
    """Scores a step by its digit, the solution by 1; fails where it is told to."""

    spec = VerifierSpec(steps=True, unit_interval=True)

    def __init__(self, fails: Callable[[Trajectory], bool] = lambda trajectory: False) -> None:
        self.fails = fails
        self.calls: list[str] = []

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        await asyncio.sleep(0)
        self.calls += [t.text for t in trajectories]
        if any(map(self.fails, trajectories)):
            raise ValueError("cannot read it")
        return [self._one(t.text) for t in trajectories]

    async def aclose(self) -> None:
        pass

    def _one(self, text: str) -> Score:
        found = re.findall(r"d(\d)|(boxed)", text)
        steps = tuple(1.0 if boxed else int(digit) / 10 for digit, boxed in found)
        return Score(min(steps, default=0.0), steps=steps)


def search(
    engine: ScriptedEngine,
    pipeline: Pipeline | SearchPolicy,
    *,
    verifier: Any = None,
    budget: Budget | None = None,
    log: GenerationLog | None = None,
    sampling: Sampling | None = None,
    engines: Mapping[str, Engine] | None = None,
    run: Callable[[Coroutine[Any, Any, Result]], Result] = asyncio.run,
    **options: Any,
) -> Result:
    """Run a search, given as a pipeline or by its policy, to its end, on the loop of `run`."""
    if isinstance(pipeline, SearchPolicy):
        pipeline = Pipeline.of(TreeSearch(policy=pipeline, **options))

    async def grown() -> Result:
        verifiers = {"prm": verifier or DigitVerifier()}
        async with Runtime(engine, log=log, verifiers=verifiers, engines=engines) as runtime:
            profile = sampling or Sampling(max_tokens=200)
            return await runtime.run(Job(pipeline, PROBLEM, profile, budget=budget or Budget()))

    result = run(grown())
    assert engine.num_running == 0, "no request is left running"
    return result


def grow(
    tree: SearchTree,
    parent: int,
    rewards: Sequence[float],
    *,
    texts: Sequence[str] | None = None,
    finished: Sequence[int] = (),
) -> list[int]:
    """Add scored children; those at the places in `finished` are solutions."""
    first = tree.add_children(parent, len(rewards))
    nodes = list(range(first, first + len(rewards)))
    for place, (node, reward) in enumerate(zip(nodes, rewards, strict=True)):
        text = texts[place] if texts else f"step {node}"
        tree.set_step(node, encode(text), text)
        tree.score(node, reward, is_finished=place in finished)
    return nodes


def new_tree(block_size: int = 4) -> SearchTree:
    tree = SearchTree(block_size)
    tree.set_step(ROOT, encode("prompt"))
    return tree


def expanded(policy: SearchPolicy, tree: SearchTree) -> dict[int, int]:
    """Return the policy's next expansions as a mapping."""
    return dict(policy.decide(tree, np.random.default_rng(0)).expand)


def solutions(result: Result) -> list[Trajectory]:
    return [t for t in result.trajectories if t.finish_reason is not None]


def states(tree: SearchTree) -> list[str]:
    return [NodeState(int(state)).name.lower() for state in tree.state]
