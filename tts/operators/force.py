"""Draw attempts of a limited length, and force an answer out of those that reach the limit.

Sources: Ma et al. 2025, "Reasoning Models Can Be Effective Without Thinking", arXiv:2504.09858, and
Muennighoff et al. 2025, "s1: Simple test-time scaling", arXiv:2501.19393 (budget forcing).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from tts import prompts
from tts.operators._forced import Attempt, Forcing
from tts.operators.base import node
from tts.protocols import Context, Outlet, Spec
from tts.types import Completion, Problem, Prompt, Sampling
from tts.types.thought import Thought

_PROMPTS: Mapping[str, Callable[[Problem], Prompt]] = {
    "solve": prompts.solve,
    "no_thinking": prompts.solve_without_thinking,
}


class Force(Forcing):
    """Draws `n` attempts; where one is cut at the limit, `lead` is written and the answer drawn.

    The limit is the profile's `max_tokens`, or less where the budget or the model's context leave
    less; the answer has `answer_tokens` beside it, for which room is kept in both. An attempt that
    ends by itself is left as it is.
    """

    mode: Literal["solve", "no_thinking"] = Field(
        "solve",
        description="how an attempt begins: plain steps, or after a thought that is skipped",
    )
    words: str = Field(
        "",
        description="all that a thought says which the attempt begins with; it is skipped if empty",
    )
    lead: str = Field("Final Answer:", min_length=1, description="first words of a forced answer")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.words and self.mode != "no_thinking":
            raise ValueError("words are those of the thought of mode no_thinking")
        return self

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        needs = {"own_prompts", *(["thoughts"] if self.mode == "no_thinking" else [])}
        return Spec(accepts=None, emits="finished", needs=frozenset(needs), fan_out=self.n)

    @property
    def _opening(self) -> str:
        return f"\n\n{self.lead}"

    def _begin(self, context: Context) -> tuple[Prompt, Sampling]:
        prompt = _PROMPTS[self.mode](context.problem)
        if self.words:
            prompt = replace(prompt, thought=Thought("closed", self.words))
        return prompt, context.sampling

    async def _go_on(self, attempt: Attempt, first: Completion, outlet: Outlet) -> None:
        attempt.parts.append(first)
        if first.finish_reason != "length":
            attempt.room.give_back()
            outlet.send(attempt.trajectory(first, first.text))
            return
        said = first.text.rstrip("\N{REPLACEMENT CHARACTER}").rstrip() + self._opening
        asked, _ = self._begin(attempt.context)
        answer = await attempt.force(replace(asked, prefill=said))
        attempt.context.emit("forced", index=attempt.index)
        outlet.send(attempt.trajectory(answer, said + (answer.text if answer else "")))


force = node(Force)
