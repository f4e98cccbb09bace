"""Draw solutions step by step, and give up those whose chance of a right answer stays too low.

A verifier of steps looks after each step. The bar is learnt with a value head
(`tts.evals.heads.bars`): it loses a stated share of right solutions. On an embedded engine a head's
values come with the steps, so that looking costs nothing.

Source: as `tts.operators.screen` does by confidence (DeepConf, arXiv:2508.15260), here by the value
of hidden states, which arXiv:2504.05419 uses to end thoughts.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from tts.errors import VerifierError
from tts.heads.patience import is_hopeless
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.scoring import ask_verifier, warn_of_failure
from tts.search.steps import Stepwise, empty_trajectory, prompt_after
from tts.trajectories import ask


class Abandon(OperatorModel, Stepwise):
    """Draws `n` solutions and sends each as it ends, with its score.

    One that is given up is sent as pruned, without an answer. A step that the verifier fails at is
    no reason to give up.
    """

    n: int = Field(16, ge=1, description="solutions that are begun")
    verifier: str = Field("head", description="verifier of steps that looks after each")
    loss: float = Field(
        0.01, gt=0, lt=1, description="share of right solutions that may be lost by giving up"
    )
    bar: float | None = Field(
        None,
        description="value below which a solution is hopeless; that which the verifier has "
        "learnt for `loss` if none",
    )

    @property
    def spec(self) -> Spec:
        """A source of finished, scored trajectories."""
        return Spec(
            accepts=None,
            emits="finished",
            needs=frozenset({"token_ids"}),
            verifiers=(self.verifier,),
            fan_out=self.n,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw all at once.

        Raises:
            VerifierError: No bar is given, and the verifier has learnt none for this loss.
        """
        bar = self._bar(context)
        async with asyncio.TaskGroup() as group:
            for index in range(self.n):
                group.create_task(self._draw(context, outlet, index, bar))

    def _bar(self, context: Context) -> float:
        if self.bar is not None:
            return self.bar
        learnt = context.verifier(self.verifier).spec.bars
        allowed = [value for loss, value in learnt if loss <= self.loss]
        if not allowed:
            known = ", ".join(str(loss) for loss, _ in learnt) or "none"
            raise VerifierError(
                f"{self.verifier!r} has no bar for a loss of {self.loss}; it has learnt those for "
                f"{known}: give one with bar=0.05"
            )
        return max(allowed)

    async def _draw(self, context: Context, outlet: Outlet, index: int, bar: float) -> None:
        trajectory = empty_trajectory(context)
        while trajectory.finish_reason is None:
            seed = context.seed(f"{index}\x1f{len(trajectory.steps)}")
            completion = await ask(
                context,
                prompt_after(context, trajectory),
                seed=seed,
                sampling=self.step_sampling(context.sampling, trajectory),
            )
            if completion is None:  # the budget is spent
                return
            trajectory = replace(
                self.continued(
                    context,
                    trajectory,
                    completion,
                    trajectory_id=f"{context.node}:{index}",
                    index=index,
                    seed=seed,
                ),
                parents=(),
            )
            if trajectory.finish_reason in ("error", "cancelled"):
                break
            (score,) = await ask_verifier(context.checking(), self.verifier, [trajectory])
            warn_of_failure(context, self.verifier, score)
            trajectory = trajectory.with_score(self.verifier, score)
            if trajectory.finish_reason is None and is_hopeless(score.steps, bar):
                trajectory = replace(trajectory, finish_reason="pruned")
                context.emit("pruned", id=trajectory.id, tokens=len(trajectory.token_ids))
        outlet.send(trajectory)


abandon = node(Abandon)
