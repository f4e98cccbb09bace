"""The final answer of a text: find it, bring it into canonical form, group equal ones."""

import asyncio

from tts.answers.canonical import canonical_form, is_number
from tts.answers.checker import AnswerChecker, CheckerStats, Patience
from tts.answers.extract import extract_answer
from tts.types import AnswerType

__all__ = [
    "AnswerChecker",
    "CheckerStats",
    "Groups",
    "Patience",
    "canonical_form",
    "extract_answer",
]


class Groups:
    """Classes of equal answers, filled one by one (`tts.protocols.AnswerGroups`).

    An answer belongs to the class that holds its canonical form, or else to the first class, in
    index order, whose representative it equals. Equality by a checker is no partition, so this
    order is what makes classes well defined. A missing answer is in no class, and each "free"
    answer in one of its own.
    """

    def __init__(
        self,
        checker: AnswerChecker,
        answer_type: AnswerType,
        *,
        patience: Patience | None = None,
    ) -> None:
        """Start without classes.

        Args:
            checker: Compares.
            answer_type: Of all answers.
            patience: What comparisons may waste; shared by all classes of a problem if given.
        """
        self._checker = checker
        self._answer_type = answer_type
        self._patience = Patience() if patience is None else patience
        self._is_hurried = False
        self._comparing: set[asyncio.Task[bool]] = set()
        self._texts: list[str] = []
        self._canonicals: list[str] = []
        self._index_by_canonical: dict[str, int] = {}
        self._not_numbers: list[int] = []

    async def add(self, answer: str | None) -> int | None:
        """Return the class index of an answer, new or known; None for a missing or empty one."""
        canonical = "" if answer is None else canonical_form(answer, self._answer_type)
        if answer is None or not canonical:
            return None
        if self._answer_type == "free":
            self._open_class(answer, canonical)
            return len(self) - 1
        index = self._index_by_canonical.get(canonical)
        if index is None:
            index = await self._equal_class(canonical)
            self._index_by_canonical[canonical] = index
            if index == len(self._texts):
                self._open_class(answer, canonical)
        return index

    def text(self, index: int) -> str:
        """Return the class's representative: the first answer that was added to it."""
        return self._texts[index]

    def canonical(self, index: int) -> str:
        """Return the canonical form of the class's representative."""
        return self._canonicals[index]

    def hurry(self) -> None:
        """Compare by form only from now on; ends what is being compared. For passed deadlines."""
        self._is_hurried = True
        for task in self._comparing:
            task.cancel()

    def __len__(self) -> int:
        return len(self._texts)

    async def _equal_class(self, canonical: str) -> int:
        """Return the first class whose representative is equal, or the index of a new class.

        The list may grow while a comparison is awaited; the loop then sees the new classes too,
        and nothing is awaited between the last look and the caller's entry.
        """
        compares_numbers = not is_number(canonical)
        position = 0
        while position < len(self._texts if compares_numbers else self._not_numbers):
            index = position if compares_numbers else self._not_numbers[position]
            known = self._canonicals[index]
            if await self._equals(known, canonical):
                return index
            position += 1
        return self._index_by_canonical.get(canonical, len(self._texts))

    async def _equals(self, known: str, canonical: str) -> bool:
        decided = self._checker.decide(known, canonical, self._answer_type)
        if decided is not None or self._is_hurried:
            return decided is True
        task = asyncio.create_task(
            self._checker.aequal(known, canonical, self._answer_type, patience=self._patience)
        )
        self._comparing.add(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            self._comparing.discard(task)
        return not task.cancelled() and task.result()

    def _open_class(self, answer: str, canonical: str) -> None:
        if not is_number(canonical):
            self._not_numbers.append(len(self._texts))
        self._texts.append(answer)
        self._canonicals.append(canonical)
