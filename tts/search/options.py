"""What a tree search is asked to do, whoever asks."""

from pydantic import Field, SerializeAsAny

from tts.search.policy import SearchPolicy
from tts.search.recall import RecallOptions
from tts.search.step_scores import Reduction


class SearchOptions(RecallOptions):
    """Parameters of a tree search; `tts.operators.tree_search` is the operator that has them."""

    policy: SerializeAsAny[SearchPolicy] = Field(description="`name` and parameters of a policy")
    verifier: str = Field("prm", description="scores partial solutions")
    reduction: Reduction = Field(
        "last", description="step scores to one; own: the verifier's own value"
    )
    max_depth: int = Field(40, ge=1, description="steps; the last one runs to the end")
    lookahead: int = Field(0, ge=0, description="greedy steps played out before a step is scored")
