"""Draw trajectories with a thought whose length is controlled from outside.

Sources: Muennighoff et al. 2025, "s1: Simple test-time scaling", arXiv:2501.19393 (a least length
by appending "Wait", a most length by ending the thought); Fu et al. 2024, "Efficiently Scaling LLM
Reasoning Programs with Certaindex", arXiv:2412.20993 (probing for the answer at intervals); Zhang
et al. 2025, "Reasoning Models Know When They're Right", arXiv:2504.05419 (a value that ends it).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from pydantic import Field, model_validator

from tts.answers.exact import find_answer
from tts.operators._forced import Attempt
from tts.operators._thought import Thinking, ThoughtInTheMaking
from tts.operators.base import node
from tts.protocols import AnswerGroups, Spec
from tts.scoring import ask_verifier, warn_of_failure
from tts.types import Completion, Prompt, Sampling
from tts.types.thought import THOUGHT_END, Thought

_BOX = "\\boxed{"


class Think(Thinking):
    """Draws `n` trajectories: a thought, stretched or cut, and then the answer.

    The thought may take `max_thinking` tokens in all. Its end is ignored `waits` times: the tag is
    dropped and `wait_words` are appended. At the limit the thought is closed and the answer asked
    for, after `lead`. Room for the answer is kept free in the budget and in the model's context;
    where a budget is too small for that, fewer trajectories are drawn.

    With `slice_tokens` the thought is generated slice by slice, each continuing the last by token
    ids, so that its KV blocks are reused. After each slice `probe` is appended to a copy and the
    answer is read; `agree` equal answers in a row close the thought. A reply that says one of the
    words of `hesitation` counts as none. `max_repeats` closes a thought that repeats a paragraph so
    often. Probes cost tokens, which the trajectory carries.

    With `verifier`, agreement is not looked at: a thought is closed once the verifier's value of it
    reaches `bar`, of the thought with the reply to the probe, or of the thought alone where there
    is no probe. Values of a head come with the slices.
    """

    waits: int = Field(0, ge=0, le=64, description="times that the end of the thought is ignored")
    wait_words: str = Field(
        "Wait", min_length=1, description="words that are appended where an end is ignored"
    )
    slice_tokens: int | None = Field(
        None, ge=1, description="tokens between two looks at a thought; it is not looked at if none"
    )
    probe: str | None = Field(
        None,
        min_length=1,
        description="words that ask for the answer so far; nothing is asked if none",
    )
    probe_tokens: int = Field(20, ge=1, description="most tokens of the reply to a probe")
    agree: int = Field(3, ge=1, description="equal probes in a row that close the thought")
    hesitation: tuple[str, ...] = Field(
        (), description="words in the reply to a probe that make it count as none, in any case"
    )
    verifier: str | None = Field(
        None, description="verifier whose value closes a thought; agreement does if none"
    )
    bar: float = Field(0.9, ge=0, le=1, description="value from which on a thought is closed")
    max_repeats: int | None = Field(
        None, ge=2, description="equal paragraphs that close the thought; never if none"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        looks = (self.probe, self.verifier, self.max_repeats) != (None, None, None)
        if looks != (self.slice_tokens is not None):
            raise ValueError("slice_tokens goes with probe, verifier or max_repeats, which need it")
        return self

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        needs = {"own_prompts", "thoughts", *(["token_ids"] if self.slice_tokens else [])}
        return Spec(
            accepts=None,
            emits="finished",
            needs=frozenset(needs),
            verifiers=() if self.verifier is None else (self.verifier,),
            fan_out=self.n,
        )

    @property
    def _slice_tokens(self) -> int | None:
        return self.slice_tokens

    def _thought(self, attempt: Attempt) -> ThoughtInTheMaking:
        watch = _Probes(self) if self.slice_tokens else None
        return ThoughtInTheMaking(self, attempt, watch, self.waits, self.wait_words)


@dataclass(slots=True)
class _Probes:
    """Reads a thought's answer at intervals.

    Attributes:
        settings: Of the operator.
        answers: Class of each probe's answer; None where it gave none.
        groups: The classes.
    """

    settings: Think
    answers: list[int | None] = field(default_factory=list)
    groups: AnswerGroups | None = None

    is_beside = False

    async def looks_over(self, thought: ThoughtInTheMaking) -> bool:
        """Return whether the thought repeats itself, or its answer is settled."""
        context, settings = thought.attempt.context, self.settings
        repeats = settings.max_repeats
        if repeats is not None and most_repeats(thought.text) >= repeats:
            rule = "repeats"
        elif settings.verifier is not None:
            rule = "value" if await self._is_sure(thought, settings.verifier) else ""
        else:
            rule = "probe" if await self._agree(thought) else ""
        if rule:
            context.emit("thought_end", index=thought.attempt.index, rule=rule)
        return bool(rule)

    async def _is_sure(self, thought: ThoughtInTheMaking, verifier: str) -> bool:
        """Return whether the verifier's value reaches the bar; its failure is a warning."""
        attempt, text = thought.attempt, thought.text
        if self.settings.probe is not None:
            reply, said = await self._ask(thought, self.settings.probe)
            if reply is None:
                return False
            attempt = replace(attempt, parts=[*attempt.parts, reply])
            text += said
        so_far = attempt.trajectory(attempt.parts[-1], text)
        (score,) = await ask_verifier(attempt.context.checking(), verifier, [so_far])
        warn_of_failure(attempt.context, verifier, score)
        value = score.probability_or_value
        attempt.context.emit("probe", index=attempt.index, tokens=thought.spent, value=value)
        return value is not None and value >= self.settings.bar

    async def _agree(self, thought: ThoughtInTheMaking) -> bool:
        """Ask for the answer so far; returns whether the last ones agree."""
        if self.settings.probe is None:
            return False
        attempt = thought.attempt
        context = attempt.context
        reply, said = await self._ask(thought, self.settings.probe)
        low = "" if reply is None else reply.text.lower()
        if any(word.lower() in low for word in self.settings.hesitation):
            said = ""
        answer = find_answer(said, context.problem)
        self.groups = self.groups or context.answers()
        self.answers.append(await self.groups.add(answer))
        context.emit("probe", index=attempt.index, tokens=thought.spent, answer=answer)
        return agrees(self.answers, self.settings.agree)

    async def _ask(self, thought: ThoughtInTheMaking, words: str) -> tuple[Completion | None, str]:
        """Return the reply to a probe, and what it says; None and nothing without room for it."""
        sampling = Sampling(temperature=0.0, max_tokens=self.settings.probe_tokens)
        reply = await thought.attempt.draw(_probing(thought, words), sampling)
        if reply is None:
            return None, ""
        thought.attempt.asked = thought.attempt.asked + reply.usage
        return reply, probed_text(words, reply.text)


def _probing(thought: ThoughtInTheMaking, words: str) -> Prompt:
    """Return a thought so far and the words of a probe, which may close it."""
    inside, closed, answer = words.partition(THOUGHT_END)
    stage: Literal["open", "closed"] = "closed" if closed else "open"
    return thought.prompt(Thought(stage, thought.text + inside), answer.lstrip("\n"))


def agrees(probed: Sequence[int | None], count: int) -> bool:
    """Return whether the last `count` probes gave one and the same answer."""
    last = set(probed[-count:])
    return len(probed) >= count and len(last) == 1 and None not in last


def probed_text(words: str, reply: str) -> str:
    r"""Return what a probe said; nothing where the `\boxed{` that it opened is not closed."""
    before, opened, _ = words.rpartition(_BOX)
    if not opened:
        return words.rpartition(THOUGHT_END)[2] + reply
    depth = 1
    inside = words[len(before) + len(opened) :] + reply
    for place, char in enumerate(inside):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth == 0:
            content = inside[:place].strip()
            return f"{_BOX}{content}}}" if content else ""
    return ""


def most_repeats(text: str) -> int:
    """Return how often the most frequent paragraph occurs, the unfinished last one left out."""
    paragraphs = [part.strip() for part in text.split("\n\n")[:-1] if part.strip()]
    return max((paragraphs.count(part) for part in set(paragraphs)), default=0)


think = node(Think)
