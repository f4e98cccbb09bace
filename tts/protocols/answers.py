"""Which answers are equal, as operators ask it."""

from typing import Protocol


class AnswerGroups(Protocol):
    """Classes of equal answers, filled one by one."""

    async def add(self, answer: str | None) -> int | None:
        """Return the class index of an answer, new or known; None for a missing answer."""

    def text(self, index: int) -> str:
        """Return the class's representative: the first answer that was added to it."""

    def canonical(self, index: int) -> str:
        """Return the canonical form of the class's representative."""

    def hurry(self) -> None:
        """Compare by form only from now on; ends what is being compared. For passed deadlines."""
