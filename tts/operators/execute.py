"""Run the program that a trajectory holds; what it prints last is the trajectory's answer.

Source: Chen et al. 2022, "Program of Thoughts Prompting", arXiv:2211.12588.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from pydantic import Field

from tts.answers.exact import find_answer
from tts.answers.extract import extract_answer
from tts.errors import VerifierError
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Trajectory


@runtime_checkable
class RunsPrograms(Protocol):
    """What a verifier that runs code does beside scoring it."""

    async def run_program(self, code: str) -> tuple[str | None, str]:
        """Return what a program prints, or None and why it did not run to its end."""
        ...


class Execute(OperatorModel):
    """Sends each trajectory with what its program prints in place of its answer.

    The program is the last fenced block, its answer the last line that it prints, read as one of
    the problem's type. A trajectory without a program, or whose program fails, has no answer.
    """

    verifier: str = Field("execution", description="verifier that runs code, with its options")

    @property
    def spec(self) -> Spec:
        """Reads and sends finished trajectories."""
        return Spec(accepts="finished", emits="finished", verifiers=(self.verifier,))

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Run programs as trajectories arrive."""
        async with asyncio.TaskGroup() as group:
            async for trajectory in context.merge(inputs):
                group.create_task(self._execute(context, trajectory, outlet))

    async def _execute(self, context: Context, trajectory: Trajectory, outlet: Outlet) -> None:
        has_failed = trajectory.finish_reason == "error"
        code = None if has_failed else extract_answer(trajectory.text, "code")
        answer, said = None, "it has no program"
        if code:
            executor = context.verifier(self.verifier)
            if not isinstance(executor, RunsPrograms):
                raise VerifierError(f"{self.verifier!r} runs no code; name execution, with options")
            printed, said = await executor.run_program(code)
            answer = _answer(printed or "", context)
        context.emit("execute", id=trajectory.id, answer=answer, error=said)
        outlet.send(replace(trajectory, answer=answer))


def _answer(printed: str, context: Context) -> str | None:
    """Return the last line that is not empty, read as an answer of the problem's type."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if not lines:
        return None
    problem = context.problem
    return find_answer(lines[-1], problem) or find_answer(f"\\boxed{{{lines[-1]}}}", problem)


execute = node(Execute)
