"""How servers misbehave, by name: what befalls one call, and what kinds of servers never do.

Each form was met in the field; the tests of the engine hold what becomes of each by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tts.bench.servers.misbehaving import (
    Asked,
    Events,
    Hang,
    Json,
    Leave,
    Raw,
    Reply,
    choice,
    delta,
    models,
    refusal,
    speak,
    usage,
    vllm_speak,
    whole,
)

Samples = Sequence[Sequence[str]]
_SLOW_PIECES = 500
_MODELS = models("m")
_NONE = {"token": "a", "logprob": None}


def error_event(message: str, code: object = None) -> dict[str, object]:
    """Return an error as it comes with status 200."""
    return {"error": {"message": message, "code": code}}


# Answers that are none: the call is made again.
ODD: Mapping[str, Reply] = {
    "HTML": Raw(b"<html><head><title>502</title></head><body>Bad gateway</body></html>"),
    "truncated JSON": Raw(b'{"choices": [{"ind', content_type="application/json"),
    "cut off": Raw(b'{"choices": [', content_type="application/json", promised=5000),
    "bad UTF-8": Raw(b'{"choices": "\xff\xfe"}', content_type="application/json"),
    "deep JSON": Raw(b"[" * 100_000, content_type="application/json"),
    "an error body": Json(error_event("upstream hiccup")),
    "an error as text": Json({"error": "upstream hiccup"}),
    "an error of old vLLM": Json({"object": "error", "message": "upstream hiccup"}),
    "an error in the stream": Events([delta(0, "a"), error_event("upstream hiccup")]),
    "an event of HTML": Events([delta(0, "a"), b"data: <html>\n\n"]),
    "a torn event": Events([delta(0, "a"), b'data: {"choices": [\n\n']),
    "bad UTF-8 in the stream": Events([b'data: {"choices": "\xff"}\n\n']),
    "a stream that is dropped": Events([delta(0, "a")], "dropped"),
    "an empty body": Raw(b"", content_type="application/json"),
    "500": refusal(500, "upstream hiccup"),
    "no choices": Json({"choices": [], "usage": usage(10, 0)}),
    "a list": Json([]),
    "an empty stream": Events([]),
}
# What servers say of parameters that they do not take.
REFUSALS: Mapping[str, str] = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. "
    "Use 'max_completion_tokens' instead.",
    "temperature": "Unsupported value: 'temperature' does not support 0.8 with this model. "
    "Only the default (1) value is supported.",
    "top_p": "Unsupported parameter: 'top_p' is not supported with this model.",
    "top_k": "Unrecognized request argument supplied: top_k",
    "min_p": "body.min_p: Extra inputs are not permitted",
    "seed": "Extra inputs are not permitted, field: 'seed'",
    "stop": "Unsupported parameter: 'stop' is not supported with this model.",
    "stream_options": "unknown field stream_options",
    "stream": "'stream' is not supported here",
}


def befall(asked: Asked, samples: Samples) -> dict[str, Reply]:
    """Return by name what may befall a call that should have brought these samples."""
    good = speak(asked, samples).events
    texts = ["".join(pieces) for pieces in samples]
    return {
        **ODD,
        **{f"status {status}": refusal(status, "upstream hiccup") for status in (408, 502, 503)},
        **{
            f"refused {status}": refusal(status, "the content filter was triggered")
            for status in (400, 401, 403, 404, 422)
        },
        "too long": refusal(400, "the request exceeds the available context size"),
        "too long, of TGI": refusal(422, "`inputs` tokens + `max_new_tokens` must be <= 8."),
        "a redirect": Raw(b"", 302, headers={"Location": "https://elsewhere.test/v1"}),
        "429 in milliseconds": refusal(429, "slow down", headers={"Retry-After-Ms": "20"}),
        "429 in seconds": refusal(429, "slow down", headers={"Retry-After": "0"}),
        "429 with a date that has passed": refusal(
            429, "slow down", headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
        ),
        "429 without a time": refusal(429, "slow down"),
        "the key, echoed": refusal(400, f"you sent {dict(asked.headers)}"),
        "samples too many": speak(asked, [*samples, *samples]),
        "one index for all": Events(
            [event for place in range(len(texts)) for event in _alone(texts[place])]
        ),
        "no end of the samples": Events([delta(i, text) for i, text in enumerate(texts)]),
        "an unknown end": _ended(texts, "eos_token"),
        "an end by a filter": _ended(texts, "content_filter"),
        "parts": whole(*[choice(i, [{"type": "text", "text": t}]) for i, t in enumerate(texts)]),
        "a thought apart": whole(
            *[choice(i, text, reasoning_content="hm") for i, text in enumerate(texts)]
        ),
        "a thought alone": whole(
            *[choice(i, None, finish="length", reasoning="hm") for i in range(len(texts))]
        ),
        "no counts": whole(*[choice(i, text) for i, text in enumerate(texts)], usage=None),
        "counts below 0": _counted(good, -1),
        "counts without measure": _counted(good, 10**30),
        "log-probabilities that are none": whole(
            *[{**choice(i, text), "logprobs": {"content": [_NONE]}} for i, text in enumerate(texts)]
        ),
        "silence": Hang(),
        "silence in mid-answer": Events(good[: len(good) // 2], "hang"),
        "silence after the samples": Events(good, "hang"),
        "drips": Events([b": a comment\n\n", 0.02] * _SLOW_PIECES),
        "nobody": Leave(0.3),
    }


def count_pieces(reply: Reply, samples: Samples) -> int:
    """Return how many tokens of these samples a reply brings."""
    if isinstance(reply, Events):
        told = [event.get("choices", ()) for event in reply.events if isinstance(event, dict)]
        return sum(bool(c["delta"].get("content")) for choices in told for c in choices)
    value = reply.value if isinstance(reply, Json) else None
    choices = value.get("choices", ()) if isinstance(value, dict) else ()
    return sum(map(len, samples[: len(choices)]))


def _alone(text: str) -> list[Any]:
    return [delta(0, text), delta(0, finish="stop")]


def _ended(texts: Sequence[str], reason: str) -> Reply:
    return whole(*[choice(i, text, finish=reason) for i, text in enumerate(texts)])


def _counted(events: Sequence[Any], generated: int) -> Reply:
    return Events([*events[:-1], {"choices": [], "usage": usage(10, generated)}])


@dataclass(frozen=True)
class Kind:
    """A kind of server.

    Attributes:
        refuses: Parameters that it does not take.
        most: Samples that it gives of a call, whatever it was asked.
        form: How it answers when it is in order.
        lists: What it says of its models.
    """

    refuses: Sequence[str] = ()
    most: int = 128
    form: str = "stream"
    lists: Reply = _MODELS

    def refuse(self, asked: Asked) -> Reply | None:
        """Return what it says of a call with parameters that it does not take."""
        named = next((name for name in self.refuses if name in asked.body), None)
        return None if named is None else refusal(400, REFUSALS[named])

    def answer(self, asked: Asked, samples: Samples) -> Reply:
        """Return what it says when it is in order."""
        given = samples[: self.most]
        if self.form == "whole":
            texts = ["".join(pieces) for pieces in given]
            counted = sum(map(len, given))
            return whole(*[choice(i, text) for i, text in enumerate(texts)], generated=counted)
        return vllm_speak(asked, given) if self.form == "vllm" else speak(asked, given)


KINDS: Mapping[str, Kind] = {
    "OpenAI": Kind(),
    "vLLM": Kind(form="vllm", lists=models("m", owner="vllm", max_model_len=2048)),
    "llama.cpp": Kind(most=1),
    "three samples a call": Kind(most=3, lists=refusal(401, "who are you")),
    "a reasoning model": Kind(("max_tokens", "temperature", "top_p", "seed", "stop")),
    "without streams": Kind(("stream_options", "stream"), form="whole"),
    "whole answers": Kind(form="whole", lists=Raw(b"<html>")),
}
