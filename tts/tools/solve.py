"""A pipeline on a sub-problem: any strategy, on any engine of the run.

tools:
  - {name: solve}
  - {name: solve, called: think_hard, strategy: self_consistency, engine: big}
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tts.parts.build import build_part
from tts.pipeline import Pipeline
from tts.protocols import Context
from tts.tools.base import Found, Tool, ToolConfig, only
from tts.trajectories import solve_part


class Config(ToolConfig):
    """Parameters of the tool `solve`."""

    seconds: float = Field(
        3_600.0, gt=0, le=86_400, description="longest that one call may take, in seconds"
    )
    strategy: str = Field("single", description="strategy that solves the sub-problem")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="parameters of that strategy"
    )
    engine: str = Field("", description="engine of the run that is asked; its own if empty")


class Solve(Tool):
    """Has a sub-problem solved."""

    signature = "solve(question: str) -> str"
    about = "reasons about a question that is complete in itself, and returns the answer"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._pipeline: Pipeline = build_part("strategy", config.strategy, config.parameters)
        self._engine = config.engine

    @property
    def body(self) -> Pipeline:
        """The strategy's pipeline."""
        return self._pipeline

    @property
    def engine(self) -> str:
        """The engine that it asks."""
        return self._engine

    async def call(self, context: Context, arguments: Sequence[str], *, task: str) -> Found:
        """Return the first answer.

        Raises:
            ValueError: There was none.
        """
        question = only(arguments, "a question")
        found = await solve_part(context.asking(self._engine), self._pipeline, question, name=task)
        if found is None:
            raise ValueError("no answer was found")
        return Found(found.answer or "", found)


def build(config: Config) -> Solve:
    """Return the tool.

    Raises:
        InputError: There is no such strategy, or a parameter of it is wrong.
    """
    return Solve(config)
