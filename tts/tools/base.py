"""What a tool is told, and what it gives back.

class Config(ToolConfig):
    city: str = Field("Rome", description="city whose weather is told")

class Weather(Tool):
    signature = "weather(day: str) -> str"
    about = "the weather of a day"

    async def call(self, context: Context, arguments: Sequence[str], *, task: str) -> Found:
        return Found(await ask_somebody(self.config.city, arguments[0]))
"""

import ast
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline
from tts.protocols import Context
from tts.types import Trajectory


class ToolConfig(Parameters):
    """Parameters that every tool has."""

    called: str = Field(
        "", pattern=r"^\w*$", description="name by which plans call it; the tool's own if empty"
    )
    seconds: float = Field(
        60.0, gt=0, le=86_400, description="longest that one call may take, in seconds"
    )
    parallel: int = Field(16, ge=1, description="calls of one graph that run at once; more wait")


@dataclass(frozen=True, slots=True)
class Found:
    """What a call gave.

    Attributes:
        text: For the model and for the tasks that need it.
        trajectory: The attempt that it stems from; None where no model was asked.
    """

    text: str
    trajectory: Trajectory | None = None


class Tool(ABC):
    """Something that a task may call; two are equal if they are built alike.

    Attributes:
        signature: How it is called, as the planner reads it, its own name first.
        about: What it does, in a few words.
    """

    signature: ClassVar[str]
    about: ClassVar[str]

    def __init__(self, config: ToolConfig) -> None:
        self.config = config

    @property
    def own_name(self) -> str:
        """The name in its signature."""
        return self.signature.partition("(")[0]

    @property
    def name(self) -> str:
        """What plans call it."""
        return self.config.called or self.own_name

    @property
    def line(self) -> str:
        """What a planner is told of it."""
        return f"{self.name}{self.signature[len(self.own_name) :]}: {self.about}"

    @property
    def inputs(self) -> Mapping[str, bool]:
        """Names of what it takes, and whether each is needed; one where no signature tells."""
        try:
            (function,) = ast.parse(f"def {self.signature}: ...").body
            assert isinstance(function, ast.FunctionDef)
        except (SyntaxError, ValueError, AssertionError):
            return {"argument": True}
        names = [one.arg for one in function.args.args]
        num_needed = len(names) - len(function.args.defaults)
        return {name: place < num_needed for place, name in enumerate(names)}

    @property
    def body(self) -> Pipeline | None:
        """The pipeline that it runs; None if it runs none."""
        return None

    @property
    def engine(self) -> str:
        """Name of the engine of the run that its pipeline asks; empty for the run's own."""
        return ""

    @abstractmethod
    async def call(self, context: Context, arguments: Sequence[str], *, task: str) -> Found:
        """Do it.

        Args:
            context: Of the node; what is generated through it is within the budget.
            arguments: As the plan wrote them, with what earlier tasks found put in.
            task: Unique within the node; names what is spawned.

        Raises:
            Exception: Any; its message is then what the task has found. Only an engine that is
                lost ends the run.
        """

    def __eq__(self, other: object) -> bool:
        """Compare class and parameters."""
        return type(other) is type(self) and other.config == self.config

    def __hash__(self) -> int:
        """Hash class and name: parameters may hold mappings."""
        return hash((type(self), self.name))


def only(arguments: Sequence[Any], what: str) -> str:
    """Return the only argument of a call.

    Raises:
        ValueError: There are none or several.
    """
    if len(arguments) != 1:
        raise ValueError(f"it takes one argument, {what}; got {len(arguments)}")
    return str(arguments[0])
