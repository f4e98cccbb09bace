"""CyclicReflex: the logits of reflection words rise and fall as the thought goes on.

Source: Fan et al. 2025, "CyclicReflex: Improving Reasoning Models via Cyclical Reflection Token
Scheduling", arXiv:2506.11077. As there, a word takes part in the spelling that is given alone: in
most vocabularies "But" is the token that begins a paragraph, and " but" in a sentence is another. A
word that is no token of the vocabulary is left out, where the published code may look up the token
for unknown words; the end of the thought is looked for in the last tokens only, not in the
whole text at every step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tts.types import Reflection

EXTRA_KEY = "tts_reflection"  # where a sequence's schedule travels to the logits processor
PROCESSOR = "tts.engine.reflection_processor:ReflectionProcessor"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A reflection schedule in one model's tokens.

    Attributes:
        reflection: The wave.
        token_ids: Of its words.
        end_ids: Of the tag that ends a thought, after which nothing is changed.
    """

    reflection: Reflection
    token_ids: tuple[int, ...]
    end_ids: tuple[int, ...]


class Bias:
    """What is added to the logits of one sequence's reflection tokens, token by token.

    Args:
        schedule: In the model's tokens.
        output_ids: The sequence's tokens so far; the list that the engine goes on filling.
    """

    def __init__(self, schedule: Schedule, output_ids: list[int]) -> None:
        self.token_ids = list(schedule.token_ids)
        self._schedule = schedule
        self._output_ids = output_ids
        size = len(schedule.end_ids)
        starts = range(len(output_ids) - size + 1)
        # A sequence that was preempted comes back with all that it had written.
        self._is_over = any(self._ends_at(start + size) for start in starts)

    def next(self) -> float:
        """Return the bias of the next token; 0 once the thought is over."""
        written = len(self._output_ids)
        self._is_over = self._is_over or self._ends_at(written)
        return 0.0 if self._is_over else wave(self._schedule.reflection, written)

    def _ends_at(self, place: int) -> bool:
        end_ids = self._schedule.end_ids
        first = place - len(end_ids)
        return first >= 0 and tuple(self._output_ids[first:place]) == end_ids


def wave(reflection: Reflection, place: int) -> float:
    """Return the triangular wave at a token: 0, +A, 0, -A at the quarters of a period.

    With u = ((t + shift * C) mod C) / C: 4 u A up to 1/4, then A - 4 A (u - 1/4) up to 3/4, then
    -A + 4 A (u - 3/4). From token `until` on it is 0.
    """
    if place >= reflection.until:
        return 0.0
    period, height = reflection.period, reflection.amplitude
    u = ((place + reflection.shift * period) % period) / period
    if u <= 0.25:
        return 4 * u * height
    if u <= 0.75:
        return height - 4 * height * (u - 0.25)
    return -height + 4 * height * (u - 0.75)


def spellings(vocabulary: Sequence[str], words: Sequence[str]) -> tuple[int, ...]:
    """Return the ids of the tokens that are one of the words, to the letter and the space."""
    wanted = set(words)
    return tuple(i for i, text in enumerate(vocabulary) if text in wanted)
