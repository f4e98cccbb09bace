"""From a result to what the protocol answers, or to the error that it is."""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tts.answers.canonical import canonical_form
from tts.answers.exact import Call, tool_calls
from tts.errors import (
    CapabilityError,
    ContextError,
    InputError,
    MissingExtraError,
    OutageError,
    RefusedError,
    TTSError,
)
from tts.server.asked import Asked
from tts.server.service import Busy, NoSuchModel, Planned
from tts.types import Result, Trajectory, Usage
from tts.types.thought import THOUGHT_END, THOUGHT_START, held_back


@dataclass(eq=False)  # not frozen: whoever raises it adds where
class Refusal(Exception):
    """Why there is no answer, as HTTP says it.

    Attributes:
        status: Of HTTP.
        message: For people.
        code: For programs.
        seconds: After which it is worth asking again; None where it is not.
        usage: What was spent all the same.
    """

    status: int
    message: str
    code: str
    seconds: float | None = None
    usage: Usage | None = None

    def body(self) -> dict[str, Any]:
        """Return the error as the protocol writes it."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        usage = None if self.usage is None else usage_of(self.usage)
        return {"error": error, **({"usage": usage} if usage else {})}

    def headers(self) -> dict[str, str]:
        """Return when to ask again."""
        return {} if self.seconds is None else {"Retry-After": str(max(1, round(self.seconds)))}


def refusal_of(error: BaseException) -> Refusal:
    """Return how an error is told; one that nobody raised on purpose keeps its words to itself."""
    said = str(error)
    match error:
        case Refusal():
            return error
        case Busy():
            return Refusal(
                503 if error.code == "server_ending" else 429, said, error.code, error.seconds
            )
        case NoSuchModel():
            return Refusal(404, said, "model_not_found")
        case ContextError():
            return Refusal(400, said, "context_length_exceeded")
        case OutageError():
            return Refusal(503, said, "engine_away", 5.0)
        case InputError() | MissingExtraError() | RefusedError() | CapabilityError():
            return Refusal(400, said, "invalid_request")
        case TTSError():
            return Refusal(503, said, "engine_error")
    return Refusal(500, "the server has failed at this request; its log says how", "server_error")


def check_result(result: Result, *, is_spent: bool) -> None:
    """Refuse a result without an answer.

    Args:
        result: What the runtime returned.
        is_spent: The account of who asked buys no further sample.

    Raises:
        Refusal: It says why, and what it has cost.
    """
    facts, usage = result.facts, result.usage
    if result.trajectories and any(t.finish_reason != "error" for t in _leaving(result)):
        return
    if any(failure.error == ContextError.__name__ for failure in facts.failures):
        raise Refusal(400, result.reason, "context_length_exceeded", usage=usage)
    if facts.shortfall and usage.calls == 0:
        told = f"{result.reason}: it buys no sample"
        if is_spent or facts.is_expired:  # another time it may buy one
            raise Refusal(429, told, "insufficient_quota", usage=usage)
        raise Refusal(400, told, "budget_too_small", usage=usage)
    if facts.failures:
        raise Refusal(400, result.reason, "cannot_run", usage=usage)
    if facts.failed and not result.samples:
        if facts.unanswered:
            raise Refusal(502, result.reason, "no_sample", usage=usage)
        raise Refusal(400, result.reason, "invalid_request", usage=usage)
    if result.problem.answer_type != "free" and result.samples:
        told = f"none of {len(result.samples)} samples {_lacks(result)}"
        raise Refusal(422, told, "no_comparable_answer", usage=usage)
    raise Refusal(502, result.reason or "there is no answer", "no_answer", usage=usage)


def _lacks(result: Result) -> str:
    """Return what samples lack that could not be compared, and what to do about it."""
    rule = result.problem.rule
    if rule is None or rule.kind == "tool_calls":
        return (
            "announces an answer that could be compared "
            f"with others, which {result.preset} counts: ask for one in the prompt, say what to "
            "compare by (response_format, or tts.compare with json_path or regex), or choose a "
            "preset that compares texts, such as genselect or self_certainty_best"
        )
    if rule.kind == "regex":
        return f"holds what tts.compare looks for, {rule.path!r}: ask for it in the prompt"
    what = f"JSON with a value at {rule.path!r}" if rule.path else "JSON"
    return (
        f"is {what}, by which {result.preset} compares them: ask for it in the prompt, or choose a "
        "model whose server holds it to response_format"
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the texts that are returned.

    Attributes:
        index: Its place.
        trajectory: What was written.
        finish_reason: As the protocol has it.
        content: What is shown.
        reasoning: The thought before it.
        calls: Of tools.
    """

    index: int
    trajectory: Trajectory
    finish_reason: str
    content: str
    reasoning: str
    calls: Sequence[Call]


def choices_of(planned: Planned, result: Result) -> list[Choice]:
    """Return the choices: plain samples as they were drawn, else the best distinct answers."""
    asked = planned.asked
    if planned.is_plain:
        drawn = [t for t in _leaving(result) if t.finish_reason != "error"]
        chosen = sorted(drawn, key=lambda t: t.origin.index)
        return [_choice(asked, t.origin.index, t) for t in chosen]
    ranked = _ranked(planned, result)[: asked.n]
    return [_choice(asked, place, one) for place, one in enumerate(ranked)]


def split_thought(text: str) -> tuple[str, str]:
    """Return the thought of a text that begins with one, and what follows it, as far as both go.

    Of a text that grows, both only ever grow: what may be a part of a mark is held back.
    """
    begun = text.lstrip()
    if not begun.startswith(THOUGHT_START):
        return "", "" if THOUGHT_START.startswith(begun) else text
    thought, end, rest = begun.removeprefix(THOUGHT_START).lstrip().partition(THOUGHT_END)
    if end:
        return thought.rstrip(), rest.lstrip()
    return thought[: len(thought) - held_back(thought, THOUGHT_END)].rstrip(), ""


class Sent:
    """What a client has been sent of a text that grows."""

    def __init__(self) -> None:
        self._text = ""

    def rest(self, text: str, *, is_whole: bool = False) -> str:
        """Return what is new of the text, which counts as sent.

        Args:
            text: As far as it has come; where it was begun anew, that may be less than before.
            is_whole: Nothing follows.

        Raises:
            Refusal: What was sent before is not its beginning.
        """
        sent = self._text
        if text.startswith(sent):
            self._text = text
            return text[len(sent) :]
        if sent.startswith(text) and not is_whole:
            return ""
        raise Refusal(
            502,
            "what has been passed on is not the beginning of the answer: the model broke off, and "
            "wrote something else when it was asked again; ask again",
            "text_changed",
        )


def message_of(choice: Choice) -> dict[str, Any]:
    """Return a choice as an assistant's turn."""
    message: dict[str, Any] = {"role": "assistant", "content": choice.content or None}
    if not choice.calls:
        message["content"] = choice.content
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = list(calls_of(choice))
    return message


def calls_of(choice: Choice) -> Iterable[dict[str, Any]]:
    """Yield the calls of a choice."""
    for call in choice.calls:
        function = {"name": call.name, "arguments": call.arguments}
        yield {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


def logprobs_of(choice: Choice) -> dict[str, Any] | None:
    """Return the log-probabilities of a chat's text; None where the engine tells none."""
    rows = [
        {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}
        for text, logprob in _tokens(choice.trajectory)
    ]
    return {"content": rows, "refusal": None} if rows else None


def text_logprobs_of(choice: Choice) -> dict[str, Any] | None:
    """Return the log-probabilities of a continued text; None where the engine tells none."""
    rows, start = list(_tokens(choice.trajectory)), 0
    starts = []
    for text, _ in rows:
        starts.append(start)
        start += len(text)
    tokens = [text for text, _ in rows]
    values = [logprob for _, logprob in rows]
    told = {"tokens": tokens, "token_logprobs": values, "top_logprobs": None}
    return {**told, "text_offset": starts} if rows else None


def usage_of(usage: Usage) -> dict[str, Any] | None:
    """Return what a request has cost, every sample counted; None where nobody knows."""
    prompt, generated = usage.prompt_tokens, usage.generated_tokens
    if prompt is None or generated is None:
        return None
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
    }


def extension_of(planned: Planned, result: Result) -> dict[str, Any]:
    """Return the field `tts` of an answer; empty where nothing is to be said."""
    wanted = planned.asked.extension.returns
    told: dict[str, Any] = {}
    if result.reason:
        told["reason"] = result.reason
    if wanted:
        told.update(preset=result.preset, seed=planned.asked.seed, usage=asdict(result.usage))
    if "support" in wanted and result.answer is not None:
        told["answer"] = result.answer.text
        told["support"] = asdict(result.answer.support)
        told["stopped_by"] = [stop.rule for stop in result.facts.stopped_by]
    if "attempts" in wanted:
        told["attempts"] = [
            {
                "text": t.text,
                "answer": t.answer,
                "finish_reason": t.finish_reason,
                "tokens": t.usage.generated_tokens,
                "scores": {name: score.value for name, score in t.scores.items()},
            }
            for t in result.samples
        ]
    if "trace" in wanted:
        told["trace"] = json.loads(json.dumps([asdict(e) for e in result.trace], default=str))
    return told


def _leaving(result: Result) -> list[Trajectory]:
    """Return what left the pipeline, best first: those that no other of the result came from."""
    parents = {parent for t in result.trajectories for parent in t.parents}
    return [t for t in result.trajectories if t.id not in parents]


def _ranked(planned: Planned, result: Result) -> list[Trajectory]:
    """Return the winner, then one of each other answer: the first by votes, or by score."""
    leaving = _leaving(result)
    if planned.asked.n == 1 or not leaving or leaving[0].answer is None:
        return leaving[:1]
    pipeline, kind = planned.job.pipeline, result.problem.answer_type
    scores = dict(pipeline)[pipeline.sinks[0]].operator.spec.scores
    groups: dict[str, list[Trajectory]] = {}
    for one in (leaving[0], *result.samples):
        if one.answer is not None and one.finish_reason != "error":
            groups.setdefault(canonical_form(one.answer, kind), []).append(one)
    winner, *others = groups.values()
    weights = [_weight(group, scores, is_vote=pipeline.compares) for group in others]
    order = sorted(range(len(others)), key=lambda i: (-weights[i], i))
    return [winner[0], *(others[i][0] for i in order)]


def _weight(group: Sequence[Trajectory], names: Sequence[str], *, is_vote: bool) -> float:
    if not names:
        return float(len(group))
    read = [t.scores[names[0]].probability_or_value for t in group if names[0] in t.scores]
    known = [value for value in read if value is not None]
    return (sum(known) if is_vote else max(known)) if known else float("-inf")


def _choice(asked: Asked, index: int, trajectory: Trajectory) -> Choice:
    reasoning, content = split_thought(trajectory.text)
    calls: list[Call] = []
    if asked.tools:
        content, calls = tool_calls(content)
        calls = calls[:1] if asked.one_call else calls
    ended = "length" if trajectory.finish_reason == "length" else "stop"
    return Choice(
        index, trajectory, "tool_calls" if calls else ended, content, reasoning, tuple(calls)
    )


def _tokens(trajectory: Trajectory) -> Iterable[tuple[str, float]]:
    start = 0
    for end, logprob in zip(trajectory.offsets or (), trajectory.logprobs or (), strict=False):
        yield trajectory.text[start:end], logprob
        start = end


def told_progress(state: Mapping[str, Any]) -> str:
    """Return how far a request is, in words."""
    words = f"{state['samples']} samples, {state['tokens']} tokens"
    if "answer" in state:
        words += f"; leading: {state['answer']} ({state['votes']} of {state['voters']})"
    return f"{words}\n"
