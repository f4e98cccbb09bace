"""Associative memory in a tree search: what a step calls to mind, and what that is worth.

Source: Pan et al. 2025, "CoAT: Chain-of-Associated-Thoughts Framework for Enhancing Large Language
Models Reasoning", arXiv:2502.02390. After a step a source outside the model is asked for short
knowledge that complements it. This becomes part of the step's tree node, as a paragraph behind the
step, so that all below read it, and a node is worth F_g + weight * F_a: the reward of the steps and
the quality of the association.

The text is appended to the node's tokens. The children's prompts are the parent's prompt, its step
and its memory, token by token, and find the parent's KV blocks.

The reward model, and whoever looks for answers, reads the steps alone: it was trained on solutions,
and an answer that stands in a memory is not the policy's. The paper leaves the form of F_a open.
Here it is what the memory adds to the reward model's score when it stands after the newest step:
below 0 for what the reward model does not believe, 0 without a memory. It costs one more call of
the reward model for each memory, and none at weight 0.

Departures: a solution recalls nothing, for nothing follows it, and neither does a step that was cut
in its middle; a memory is cut to whole words within its budget of tokens.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from pydantic import Field, InstanceOf, field_serializer, field_validator, model_validator

from tts import prompts
from tts.errors import survivable
from tts.parts.build import part_of_field, part_to_mapping
from tts.parts.parameters import Parameters
from tts.protocols import Context
from tts.search.account import SearchAccount
from tts.search.memories.base import AssociativeMemory, Cue
from tts.search.once import Once
from tts.search.step_scores import StepScorer
from tts.search.steps import PARAGRAPH, Stepwise
from tts.search.tree import NodeState, SearchTree
from tts.types import Trajectory


class Association(Parameters):
    """Parameters of what steps call to mind."""

    separator: str | None = Field(
        PARAGRAPH, min_length=1, description="text between steps; none cuts by step_tokens alone"
    )
    memory: InstanceOf[AssociativeMemory] | None = Field(
        None, description="what steps call to mind: {name: facts, file: ...} or {name: model}"
    )
    memory_tokens: int = Field(64, ge=1, description="most tokens that one step calls to mind")
    path_memory_tokens: int = Field(
        256, ge=1, description="most tokens that all steps of a solution call to mind"
    )
    association_weight: float = Field(
        0.0, ge=0, description="weight, in a step's reward, of what its memory adds to the score"
    )

    @field_validator("memory", mode="before")
    @classmethod
    def _load_memory(cls, value: Any) -> Any:
        return part_of_field("memory", value)

    @field_serializer("memory")
    def _dump_memory(self, memory: AssociativeMemory | None) -> dict[str, Any] | None:
        return None if memory is None else part_to_mapping("memory", memory, memory.config)

    @model_validator(mode="after")
    def _check_separator(self) -> Self:
        if self.memory is not None and (self.separator is None or "{}" in self.separator):
            raise ValueError("a memory stands between steps: it needs a separator without {}")
        return self


class RecallOptions(Stepwise, Association):
    """What the recaller reads of a search's parameters."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a step calls to mind; nothing if `token_ids` is empty.

    Attributes:
        text: It.
        token_ids: As it stands after the step.
        gain: What it adds to the step's reward.
    """

    text: str = ""
    token_ids: tuple[int, ...] = ()
    gain: float = 0.0


NOTHING = Note()


class Recaller:
    """Asks the memory for each step, equal ones once, and adds what it says to the step's node.

    Args:
        context: The node's context.
        options: What to do, and where steps end.
        tree: Gets the memories.
        account: Notes them.
        scorer: Says what they are worth.
    """

    def __init__(
        self,
        context: Context,
        options: RecallOptions,
        *,
        tree: SearchTree,
        account: SearchAccount,
        scorer: StepScorer,
    ) -> None:
        self._context = context
        self._asking = context.checking()
        self._options = options
        self._tree = tree
        self._account = account
        self._scorer = scorer
        self._known: Once[Note] = Once()
        self._num_tokens: dict[int, int] = {}

    async def recall(self, node: int, trajectory: Trajectory) -> Note:
        """Return what the step of a running node calls to mind.

        A memory that fails is a warning, and the step calls nothing to mind.

        Args:
            node: Its step is there, and is not the last.
            trajectory: The solution up to its step.

        Raises:
            TTSError: Nothing can go on: the engine or the run's folder is lost.
        """
        association = self._options
        memory, separator = association.memory, association.separator
        if memory is None or separator is None or not trajectory.text.endswith(separator):
            return NOTHING
        cue = self._cue(node)
        note = await self._known.get((cue.steps, cue.recalled), partial(self._ask, memory, cue))
        is_running = self._tree.is_in(node, NodeState.RUNNING)
        if not (note.token_ids and is_running and association.association_weight):
            return note
        quality = await self._quality(trajectory, note.text)
        return replace(note, gain=association.association_weight * quality)

    def add(self, node: int, note: Note) -> None:
        """Add to a running node what its step calls to mind."""
        if note.token_ids:
            self._num_tokens[node] = len(note.token_ids)
            self._tree.add_memory(node, note.token_ids, note.text)
            self._account.recalled(node, len(note.token_ids))

    def _cue(self, node: int) -> Cue:
        tree, association = self._tree, self._options
        path = tree.path(node)
        spent = sum(self._num_tokens.get(ancestor, 0) for ancestor in path)
        return Cue(
            problem=self._context.problem,
            steps=tree.prefix(node),
            recalled=tuple(tree.memories[n] for n in reversed(path) if n in tree.memories),
            max_tokens=min(association.memory_tokens, association.path_memory_tokens - spent),
        )

    async def _ask(self, memory: AssociativeMemory, cue: Cue) -> Note:
        if cue.max_tokens < 1:
            return NOTHING
        try:
            words = (await memory.recall(self._asking, cue)).split()
            return await self._fit(words, cue.max_tokens)
        except Exception as raised:
            error = survivable(raised)
            message = f"a step calls nothing to mind: {type(error).__name__}: {error}"
            self._context.warn(message)
            return NOTHING

    async def _fit(self, words: list[str], room: int) -> Note:
        """Return as many of the words as there is room for, found by bisection."""
        best = NOTHING
        fitting, beyond, count = 0, len(words) + 1, len(words)
        while fitting + 1 < beyond:
            text = " ".join(words[:count])
            token_ids = await self._context.engine.tokenize(prompts.note(text))
            if len(token_ids) <= room:
                fitting, best = count, Note(text, token_ids)
            else:
                beyond = count
            count = (fitting + beyond) // 2
        return best

    async def _quality(self, trajectory: Trajectory, recalled: str) -> float:
        """Return the score with the memory after the newest step, less the score without."""
        plain = self._options.as_paragraphs(trajectory)
        told = replace(plain, text=plain.text.rstrip() + PARAGRAPH + prompts.note(recalled))
        before, after = await self._scorer.score(plain), await self._scorer.score(told)
        if before.value is None or after.value is None:
            return 0.0
        return after.value - before.value
