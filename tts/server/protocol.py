"""What clients may send: the fields of OpenAI's protocol, of vLLM's server, and our own `tts`.

A field that is not listed is refused by name; one that is listed and cannot be honoured is refused
where that is found out, with the reason.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from tts.parts.parameters import Parameters

_Text = Annotated[str, Field(max_length=10_000_000)]
MOST_CHOICES = 128


class Compare(Parameters):
    """By what answers are found equal, where they are not what a text announces in words."""

    json_path: str | None = Field(
        None, description="keys and places of the JSON in the text, such as order.items.0"
    )
    regex: str | None = Field(
        None, max_length=1000, description="pattern; its first group, of its last match"
    )


class Extension(Parameters):
    """The field `tts`: what the protocol has no word for."""

    preset: str | None = Field(None, description="preset in place of the one that `model` names")
    set: tuple[str, ...] = Field(
        (), max_length=64, description='changes of the preset, such as ["n=32"]'
    )
    budget: str | None = Field(None, description="hard limits, such as 8k or 30s")
    seed: int | None = Field(None, description="in place of the field `seed`")
    compare: Compare | None = Field(None, description="by what answers are found equal")
    progress: Literal["comments", "reasoning", "none"] = Field(
        "comments", description="how a stream tells what goes on before there is an answer"
    )
    returns: tuple[Literal["support", "attempts", "trace"], ...] = Field(
        (), alias="return", description="what comes with the answer, in its field `tts`"
    )


class StreamOptions(Parameters):
    """The field `stream_options`."""

    include_usage: bool = False
    include_obfuscation: bool = False
    continuous_usage_stats: Literal[False] = False


class Common(Parameters):
    """The fields that both forms of completion share."""

    model: str = Field(description="name of the engine's model, or of a preset")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1)
    min_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    stop: str | tuple[str, ...] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0)
    logit_bias: dict[str, float] | None = None
    min_tokens: int | None = Field(None, ge=0)
    ignore_eos: bool | None = None
    structured_outputs: dict[str, Any] | None = None
    user: str | None = Field(None, description="taken, and of no effect")
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    tts: Extension = Field(Extension(), description="what the protocol has no word for")


class Function(Parameters):
    """What a tool is called by."""

    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Parameters):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function


class Named(Parameters):
    """The name of a function."""

    name: str


class ToolChoice(Parameters):
    """The one tool that is to be called."""

    type: Literal["function"]
    function: Named


class Schema(Parameters):
    """A JSON schema with its name."""

    name: str
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Parameters):
    """The form of an answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None


class ChatRequest(Common):
    """The body of `/v1/chat/completions`."""

    messages: tuple[dict[str, Any], ...] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    response_format: ResponseFormat | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    chat_template_kwargs: dict[str, Any] | None = None
    metadata: dict[str, str] | None = Field(None, description="taken, and of no effect")
    prompt_cache_key: str | None = Field(None, description="taken, and of no effect")
    safety_identifier: str | None = Field(None, description="taken, and of no effect")
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None


class CompletionRequest(Common):
    """The body of `/v1/completions`."""

    prompt: _Text | tuple[_Text]
    logprobs: int | None = Field(None, ge=0, le=5)
    echo: Literal[False] | None = None
    suffix: Literal[""] | None = None
    best_of: int | None = Field(None, ge=1, le=MOST_CHOICES)


class ResponsesRequest(Parameters):
    """The body of `/v1/responses`; nothing is stored, so that each carries its whole chat."""

    model: str
    input: _Text | tuple[dict[str, Any], ...]
    instructions: str | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_output_tokens: int | None = Field(None, ge=1)
    user: str | None = Field(None, description="taken, and of no effect")
    metadata: dict[str, str] | None = Field(None, description="taken, and of no effect")
    store: bool | None = Field(None, description="taken; nothing is ever stored")
    stream: bool | None = False
    tts: Extension = Field(Extension(), description="what the protocol has no word for")
