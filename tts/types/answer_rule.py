"""Where an answer stands in a text that announces none in words."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """How the answer of a text is found, for problems of the type "exact".

    Attributes:
        kind: "json" takes a value of the JSON in the text, "regex" what a pattern finds last,
            "tool_calls" the calls of tools.
        path: Of "json", keys and places joined by dots, such as "order.items.0"; empty for the
            whole. Of "regex" the pattern, whose first group is taken where it has one.
    """

    kind: Literal["json", "regex", "tool_calls"]
    path: str = ""
