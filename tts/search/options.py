"""What a tree search is asked to do, whoever asks."""

from pydantic import Field, SerializeAsAny

from tts.search.policy import SearchPolicy
from tts.search.recall import RecallOptions
from tts.search.step_scores import Reduction


class SearchParameters(RecallOptions):
    """Parameters of a tree search besides its policy: those that its strategy also has."""

    verifier: str = Field("prm", description="verifier that scores partial solutions")
    reduction: Reduction = Field(
        "last", description="how step scores become a reward; own: the verifier's own value"
    )
    max_depth: int = Field(
        40, ge=1, description="most steps of a solution; the last one runs to the end"
    )


class SearchOptions(SearchParameters):
    """Parameters of a tree search; `tts.operators.tree_search` is the operator that has them."""

    policy: SerializeAsAny[SearchPolicy] = Field(
        description="strategy whose search policy decides, as {name: rebase} with its parameters"
    )
    lookahead: int = Field(0, ge=0, description="greedy steps played out before a step is scored")
