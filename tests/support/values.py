"""Small makers that several test files share."""

from tts.types import Completion, FinishReason, ModelInfo, Origin, Score, Trajectory, Usage

# 1,000 weights and no attention shape: 2,000 FLOPs per token, which is easy to do by hand.
INFO = ModelInfo(name="model", fingerprint="f", parameters=1_000)


def trajectory(
    index: int, answer: str | None, *, score: float | None = None, node: str = "sample"
) -> Trajectory:
    scores = {} if score is None else {"prm": Score(score)}
    return Trajectory(
        id=f"{node}:{index}",
        origin=Origin(node, index, index),
        text="" if answer is None else rf"\boxed{{{answer}}}",
        finish_reason="stop",
        answer=answer,
        scores=scores,
        usage=Usage(prompt_tokens=10, generated_tokens=5, calls=1),
    )


def completion(index: int, text: str = "text", *, reason: FinishReason = "stop") -> Completion:
    usage = Usage(prompt_tokens=10, cached_tokens=0, generated_tokens=5, calls=1)
    return Completion(index, text, reason, usage, token_ids=(1, 2, 3, 4, 5))
