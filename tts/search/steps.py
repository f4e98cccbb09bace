"""Where steps end, and how a partial trajectory is continued by one."""

import math
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from tts import prompts
from tts.answers.exact import find_answer
from tts.parts.parameters import Parameters
from tts.protocols import Context
from tts.trajectories import per_token
from tts.types import Completion, FinishReason, Origin, Prompt, Sampling, Step, Trajectory

ANSWER_MARK = "\\boxed{"
PARAGRAPH = "\n\n"
_NUMBER = "{}"


class Stepwise(Parameters):
    """Parameters of operators that generate step by step.

    A step is continued by token ids, the separator's included, so that the engine finds the KV
    blocks of all that came before. A token that reaches beyond the separator is kept whole in the
    ids, though the text ends with the separator.
    """

    separator: str | None = Field(
        PARAGRAPH,
        min_length=1,
        description="text between steps, {} in it being the next step's number; none cuts by "
        "step_tokens alone",
    )
    step_tokens: int = Field(256, ge=1, description="a step that is longer is cut into several")
    ends_at_answer: bool = Field(True, description="a step with a boxed answer is the last")

    def step_sampling(
        self, sampling: Sampling, parent: Trajectory, *, is_last: bool = False
    ) -> Sampling:
        """Return how to draw the step after `parent`.

        Args:
            sampling: The preset's profile; its `max_tokens` limits the whole trajectory.
            parent: What is continued.
            is_last: Draw all the rest as one step.
        """
        left = max(1, sampling.max_tokens - len(parent.token_ids))
        if is_last:
            return replace(sampling, max_tokens=left)
        separator = self.separator_before(len(parent.steps) + 2)
        stop = (*sampling.stop, separator) if separator else sampling.stop
        return replace(sampling, max_tokens=min(self.step_tokens, left), stop=stop)

    def continued(
        self,
        context: Context,
        parent: Trajectory,
        completion: Completion,
        *,
        trajectory_id: str,
        index: int,
        seed: int,
    ) -> Trajectory:
        """Return `parent` and the step that `completion` holds as one trajectory.

        Args:
            context: The node's context.
            parent: What was continued.
            completion: What the engine returned.
            trajectory_id: Of the new trajectory.
            index: Its place among the node's trajectories.
            seed: Its own seed.
        """
        separator = self.separator_before(len(parent.steps) + 2)
        is_cut = bool(separator) and completion.stop_string == separator
        text = parent.text + completion.text + (completion.stop_string or "" if is_cut else "")
        token_ids = parent.token_ids + completion.token_ids
        prompt_ids = parent.prompt_token_ids or completion.prompt_token_ids
        room = context.sampling.max_tokens - len(token_ids)
        if context.engine.info.context_tokens is not None:
            room = min(room, context.engine.info.context_tokens - len(prompt_ids) - len(token_ids))
        finish = self._finish_reason(completion, is_cut, room)
        has_answer = finish in ("stop", "length")
        return Trajectory(
            id=trajectory_id,
            origin=Origin(context.node, index, seed),
            text=text,
            finish_reason=finish,
            parents=(parent.id,) if parent.steps else (),
            prompt_token_ids=prompt_ids,
            token_ids=token_ids,
            steps=(*parent.steps, _step(parent, completion)),
            answer=find_answer(text, context.problem) if has_answer else None,
            **per_token([parent, completion] if parent.steps else [completion]),
            usage=completion.usage,
            error=completion.error,
        )

    def as_paragraphs(self, trajectory: Trajectory) -> Trajectory:
        """Return a trajectory as verifiers read it: each step a paragraph.

        Steps that are paragraphs already stay as they are, those that were cut by their length or
        run to the end included.
        """
        if self.separator == PARAGRAPH:
            return trajectory
        steps = (step.text.strip() for step in trajectory.steps)
        return replace(trajectory, text=PARAGRAPH.join(step for step in steps if step))

    def separator_before(self, number: int) -> str:
        """Return the string before a step, counted from 1; empty where length alone ends steps."""
        return (self.separator or "").replace(_NUMBER, str(number))

    def _finish_reason(
        self, completion: Completion, is_cut: bool, room: int
    ) -> FinishReason | None:
        if completion.finish_reason == "length":
            return None if room > 0 else "length"
        if not is_cut:
            return completion.finish_reason
        if self.ends_at_answer and ANSWER_MARK in completion.text:
            return "stop"
        return None if room > 0 else "length"


def empty_trajectory(context: Context) -> Trajectory:
    """Return the trajectory before the first step."""
    return Trajectory(
        id=f"{context.node}:", origin=Origin(context.node, 0, 0), text="", finish_reason=None
    )


def prompt_after(context: Context, parent: Trajectory) -> Prompt:
    """Return the prompt that continues `parent`: the problem, or the exact token ids so far."""
    if not parent.steps:
        return prompts.solve(context.problem)
    return Prompt(token_ids=parent.prompt_token_ids + parent.token_ids)


def mean_probability(logprobs: Sequence[float] | None) -> float:
    """Return exp(mean log-probability), the tokens' geometric mean; 1 where it is unknown."""
    return math.exp(math.fsum(logprobs) / len(logprobs)) if logprobs else 1.0


def _step(parent: Trajectory, completion: Completion) -> Step:
    confidences = completion.confidences
    return Step(
        start=len(parent.token_ids),
        end=len(parent.token_ids) + len(completion.token_ids),
        text=completion.text,
        logprob=None if completion.logprobs is None else math.fsum(completion.logprobs),
        confidence=math.fsum(confidences) / len(confidences) if confidences else None,
    )
