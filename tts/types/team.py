"""Several workers who write one completion at the same time."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Team:
    r"""Who writes a completion together, each in view of every token of all, and by which rules.

    All draw one token at a time, at once. Each sees the prompt with the finished steps in their
    order, `others`, the unfinished steps of the others with `between` after each but the last,
    `own`, and its own unfinished step; one who works alone sees the prompt and its steps. A step
    ends with a blank line, and the next one opens with `step`.

    Source: Rodionov et al. 2025, "Hogwild! Inference: Parallel LLM Generation via Concurrent
    Attention", arXiv:2504.06261.

    Attributes:
        names: Of the workers.
        openings: How the first step of each begins.
        step: How later steps begin; `{name}` and `{number}` are filled in.
        others: Stands before what the others write.
        between: Stands between two others.
        own: Stands before what a worker writes itself.
        check: Opens a step in addition, once all have written more than `check_every` tokens since
            one opened with it.
        check_every: Tokens, those that were not drawn included.
        step_ends: Whether a blank line ends a step after the end of a sentence or an answer alone,
            or always.
        answer_mark: A finished step in which a bracket opens with this, and is closed, ends the
            work; empty for none.
        banned: Tokens that nobody draws, in words; special tokens are never drawn.
        counts_put: The limit on tokens counts what is put in to open later steps, too, as a budget
            of operations or dollars does; else it counts what is drawn.
    """

    names: tuple[str, ...]
    openings: tuple[str, ...]
    step: str
    others: str
    between: str
    own: str
    check: str
    check_every: int = 256
    step_ends: Literal["sentence", "paragraph"] = "sentence"
    answer_mark: str = ""
    banned: tuple[str, ...] = ()
    counts_put: bool = False

    def __post_init__(self) -> None:
        """Refuse workers without a name, or without a word to begin with."""
        if not self.names or len(self.names) != len(self.openings) or not all(self.openings):
            raise ValueError("each worker has a name and words with which its first step opens")

    @property
    def put_first(self) -> tuple[str, ...]:
        """What is put in before a token is drawn: around the workers' texts, and as openings."""
        around = (self.others, self.own) if len(self.names) > 1 else ()
        return (*around, *((self.between,) if len(self.names) > 2 else ()), *self.openings)


def abreast(team: Team | None) -> int:
    """Return how many tokens of a completion are drawn at the same time: one without a team."""
    return 1 if team is None else len(team.names)
