"""Search a tree of reasoning steps by a policy; finished solutions are sent on as they are found.

The policy says which tree nodes to continue and which to give up (`tts.search.tree`); this
operator generates, scores, cancels and accounts. A search over whole levels and one without
barriers differ in the policy alone.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import field_serializer, field_validator

from tts.operators.base import OperatorModel, node
from tts.parts.build import part_of_field, part_to_mapping
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.search.driver import Search
from tts.search.options import SearchOptions
from tts.search.policy import SearchPolicy


class TreeSearch(OperatorModel, SearchOptions):
    """Grows a tree of steps until the policy wants no more, or the budget ends.

    A step's reward is the verifier's score of the solution so far. Every finished and scored
    solution is sent, with the steps before it as its parents. A step without text, an engine's or a
    verifier's failure and a prompt that is too long end their own branch only.
    """

    @field_validator("policy", mode="before")
    @classmethod
    def _load_policy(cls, value: Any) -> Any:
        return part_of_field("policy", value)

    @field_serializer("policy")
    def _dump_policy(self, policy: SearchPolicy) -> dict[str, Any]:
        return part_to_mapping("policy", policy, policy)

    @property
    def spec(self) -> Spec:
        """A source of finished, scored trajectories."""
        needs = {"token_ids"} | ({"logprobs"} if self.policy.logprobs else set())
        embedder = self.policy.step_embedder
        return Spec(
            accepts=None,
            emits="finished",
            needs=frozenset(needs),
            verifiers=(self.verifier,),
            fan_out=None,
            logprobs=self.policy.logprobs,
            engines=self.memory.engines if self.memory is not None else (),
            embedders=(embedder,) if embedder else (),
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Search, and send solutions in the order in which they are found."""
        await Search(context, self, outlet).run()


tree_search = node(TreeSearch)
