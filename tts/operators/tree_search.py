"""Search a tree of reasoning steps by a policy; finished solutions are sent on as they are found.

The policy says which tree nodes to continue and which to give up (`tts.search.tree`); this
operator generates, scores, cancels and accounts. A search over whole levels and one without
barriers differ in the policy alone.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import field_serializer, field_validator

from tts.parameters import NamedParts
from tts.pipeline import Pipeline
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.search.driver import Search
from tts.search.options import SearchOptions
from tts.search.policy import SearchPolicy
from tts.search.step_scores import Reduction

_POLICIES: NamedParts[SearchPolicy] = NamedParts(
    "tts.strategies", "Policy", "search policy; name a strategy such as beam_search"
)


class TreeSearch(SearchOptions):
    """Grows a tree of steps until the policy wants no more, or the budget ends.

    A step's reward is the verifier's score of the solution so far. Every finished and scored
    solution is sent, with the steps before it as its parents. A step without text, an engine's or a
    verifier's failure and a prompt that is too long end their own branch only.
    """

    @field_validator("policy", mode="before")
    @classmethod
    def _load_policy(cls, value: Any) -> Any:
        return _POLICIES.load(value)

    @field_serializer("policy")
    def _dump_policy(self, policy: SearchPolicy) -> dict[str, Any]:
        return _POLICIES.dump(policy)

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


def tree_search(
    policy: SearchPolicy,
    *,
    verifier: str = "prm",
    reduction: Reduction = "last",
    separator: str | None = "\n\n",
    max_depth: int = 40,
    lookahead: int = 0,
) -> Pipeline:
    """Search a tree of steps by a policy."""
    return Pipeline.of(
        TreeSearch(
            policy=policy,
            verifier=verifier,
            reduction=reduction,
            separator=separator,
            max_depth=max_depth,
            lookahead=lookahead,
        )
    )
