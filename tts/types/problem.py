"""What is to be solved."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tts.types.answer_rule import AnswerRule
from tts.types.prompt_options import PromptOptions

AnswerType = Literal["math", "integer", "choice", "code", "countdown", "grid", "free", "exact"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat.

    Attributes:
        role: System, user, assistant or tool.
        content: Its text.
        extra: Further fields, such as the calls of tools, as the text of a JSON object.
    """

    role: str
    content: str
    extra: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """Return the turn as chat templates and servers read it."""
        further = json.loads(self.extra) if self.extra else {}
        return {"role": self.role, "content": self.content, **further}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be solved.

    Attributes:
        id: Unique within a benchmark; data, never a file name.
        statement: The problem's text.
        messages: A chat to continue, in place of `statement`.
        reference: The right answer, when it is known.
        answer_type: How answers are found and compared.
        rule: Where an answer of the type "exact" stands; None takes the whole solution.
        is_raw: The statement is sent as it stands, without a chat template.
        metadata: Level, subject, tests and the like.
        prompt: What is said around it, in place of what the preset says; None leaves that to it.
    """

    id: str
    statement: str = ""
    messages: tuple[Message, ...] = ()
    reference: str | None = None
    answer_type: AnswerType = "math"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    prompt: PromptOptions | None = None
    rule: AnswerRule | None = None
    is_raw: bool = False
