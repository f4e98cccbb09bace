"""Problem to `n` trajectories, drawn in parallel from one shared prefill."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Literal

from pydantic import Field

from tts import prompts
from tts.operators.base import OperatorModel, to_trajectory
from tts.pipeline import Pipeline
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import GenerationRequest, Problem, Prompt

Mode = Literal["solve", "thinking", "no_thinking"]
_PROMPTS: Mapping[Mode, Callable[[Problem], Prompt]] = {
    "solve": prompts.solve,
    "thinking": prompts.solve_thinking,
    "no_thinking": prompts.solve_without_thinking,
}


class Sample(OperatorModel):
    """Draws `n` trajectories and sends each as soon as it ends."""

    n: int = Field(1, ge=1, description="trajectories drawn in parallel")
    mode: Mode = Field("solve", description="plain steps, a long thought first, or none at all")

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        return Spec(accepts=None, emits="finished", fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Send the trajectories in order of arrival."""
        seed = context.seed()
        prompt = _PROMPTS[self.mode](context.problem)
        request = GenerationRequest(prompt, context.sampling, n=self.n, seed=seed)
        async with aclosing(context.generate(request)) as stream:
            async for completion in stream:
                outlet.send(to_trajectory(context, completion, seed=seed))


def sample(n: int = 1, *, mode: Mode = "solve") -> Pipeline:
    """Draw `n` trajectories of the problem."""
    return Pipeline.of(Sample(n=n, mode=mode))
