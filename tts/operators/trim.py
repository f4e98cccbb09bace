"""Draw trajectories whose thought a verifier model reads beside, and ends where it is of no use.

Source: Lin et al. 2025, "TrimR: Verifier-based Training-Free Thinking Compression for Efficient
Test-Time Scaling", arXiv:2505.17155.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import Field

from tts import prompts
from tts.errors import CapabilityError
from tts.operators._forced import Attempt
from tts.operators._thought import Thinking, ThoughtInTheMaking
from tts.operators._yes_no import NEEDS, leans_yes
from tts.operators.base import node
from tts.operators.think import most_repeats
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Prompt

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_LEAST_AGREEING = 3  # answers in a row: thoughts that have them do not wander


class Trim(Thinking):
    """Draws `n` trajectories: a thought that is ended where more of it is of no use, and an answer.

    The thought is cut into parts at the words of `reflection`. As soon as a part is whole, the
    verifier is asked whether it states an answer, and if so, whether that is the answer of the last
    part that stated one: yes or no, whichever it holds likelier. The thought ends

    - when the answer has been the same `unchanged` times in a row (`settled` are its last words);
    - when it has taken more than `share` of its tokens and has more than `parts` parts, the last
      three answers not being the same (`unsettled`);
    - when it repeats a paragraph `max_repeats` times (`unsettled`).

    The thought goes on while the verifier reads, by at most `interval` tokens; what was drawn
    beyond the text that it read is given up, and counted. The verifier's calls are checks, within
    the budget; one that the budget or the verifier's context refuses leaves things as they are.
    """

    verifier: str = Field(
        "", description="engine of the run that reads the thought; the policy if empty"
    )
    interval: int = Field(128, ge=1, description="tokens between two looks for whole parts")
    reflection: tuple[str, ...] = Field(
        ("Wait", "But", "Alternatively", "Hmm"),
        min_length=1,
        description="words at the beginning of a sentence with which a new part begins",
    )
    shortest: int = Field(
        100, ge=0, description="characters below which a part is joined with the next"
    )
    sentences: int = Field(50, ge=1, description="last sentences of a part that the verifier reads")
    unchanged: int = Field(2, ge=1, description="times in a row that the answer stays the same")
    share: float = Field(
        0.5, ge=0, le=1, description="share of its tokens from which a thought may be wandering"
    )
    parts: int = Field(40, ge=1, description="parts from which it may be wandering")
    max_repeats: int = Field(3, ge=2, description="equal paragraphs that end the thought")
    settled: str = Field(
        "I have come to the same answer again, so I stop here.",
        description="last words of a thought whose answer stays the same",
    )
    unsettled: str = Field(
        "More attempts will not settle this; I answer with the best that I have found.",
        description="last words of a thought that wanders or repeats itself",
    )

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        needs = frozenset({"own_prompts", "thoughts", "token_ids"})
        others = (self.verifier,) if self.verifier else ()
        return Spec(accepts=None, emits="finished", needs=needs, fan_out=self.n, engines=others)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw, once the verifier is known to be able to read.

        Raises:
            CapabilityError: It is not.
        """
        engine = context.asking(self.verifier).engine
        if lacking := engine.capabilities.lacks(NEEDS):
            raise CapabilityError(
                f"the verifier {self.verifier!r} needs {lacking}, which "
                f"{engine.info.name} does not offer; name another engine"
            )
        await super().run(context, inputs, outlet)

    @property
    def _slice_tokens(self) -> int | None:
        return self.interval

    def _thought(self, attempt: Attempt) -> ThoughtInTheMaking:
        return ThoughtInTheMaking(self, attempt, _Reading(self))


@dataclass(slots=True)
class _Reading:
    """What a verifier has read of one thought.

    Attributes:
        settings: Of the operator.
        place: Where the first part begins that is not yet whole.
        parts: Whole ones so far.
        stated: End of the last part that states an answer; empty if none does.
        equal: Times in a row that the answer stayed the same.
        asked: Questions so far, for their seeds.
    """

    settings: Trim
    place: int = 0
    parts: int = 0
    stated: str = ""
    equal: int = 0
    asked: int = 0

    is_beside = True

    async def looks_over(self, thought: ThoughtInTheMaking) -> bool:
        """Read the parts that have become whole; returns whether the thought is over."""
        rule = await self._rule(thought)
        if not rule:
            return False
        thought.attempt.context.emit("thought_end", index=thought.attempt.index, rule=rule)
        settings = self.settings
        words = settings.settled if rule == "settled" else settings.unsettled
        thought.text = f"{thought.text.rstrip()}\n\n{words}"
        return True

    async def _rule(self, thought: ThoughtInTheMaking) -> str:
        settings = self.settings
        for end in whole_parts(thought.text, settings.reflection, settings.shortest, self.place):
            part, self.place = thought.text[self.place : end], end
            await self._read(thought.attempt, last_sentences(part, settings.sentences))
            if self.equal >= settings.unchanged:
                return "settled"
        if most_repeats(thought.text) >= settings.max_repeats:
            return "repeats"
        limit = settings.max_thinking or thought.attempt.context.sampling.max_tokens
        is_late = thought.spent > settings.share * limit and self.parts > settings.parts
        return "wanders" if is_late and self.equal + 1 < _LEAST_AGREEING else ""

    async def _read(self, attempt: Attempt, part: str) -> None:
        self.parts += 1
        problem = attempt.context.problem
        states = await self._ask(attempt, prompts.states_answer(problem, part))
        is_same = None
        if states and self.stated:
            is_same = await self._ask(attempt, prompts.same_answer(problem, self.stated, part))
            self.equal = self.equal + 1 if is_same else 0
        if states:
            self.stated = part
        attempt.context.emit(
            "thought", index=attempt.index, part=self.parts, states=states, same=is_same
        )

    async def _ask(self, attempt: Attempt, prompt: Prompt) -> bool | None:
        self.asked += 1
        context = attempt.context.asking(self.settings.verifier).checking()
        return await leans_yes(context, prompt, label=f"{attempt.index}/verifier/{self.asked}")


def whole_parts(
    text: str, reflection: tuple[str, ...], shortest: int, start: int = 0
) -> Iterator[int]:
    """Yield where the parts of a thought end that more text will not change.

    Args:
        text: The thought so far.
        reflection: Words with which a part begins, at the beginning of a sentence.
        shortest: Characters that a part has at least.
        start: Where the first part begins.
    """
    for found in _beginnings(reflection).finditer(text, start):
        if found.start() - start >= max(1, shortest):
            yield found.start()
            start = found.start()


def last_sentences(text: str, count: int) -> str:
    """Return the last sentences of a text; a line is one, too."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text.rstrip())]
    return text[ends[-count] :].strip() if len(ends) >= count else text.strip()


@lru_cache(maxsize=16)
def _beginnings(words: tuple[str, ...]) -> re.Pattern[str]:
    # A word counts once something follows it: the next slice may go on with its letters.
    either = "|".join(map(re.escape, words))
    return re.compile(rf"(?:(?<=\A)|(?<=\n)|(?<=[.?!)\]:]\s))(?:{either})(?=\W)")


trim = node(Trim)
