"""Concepts: what solved problems teach of others, short enough to be shown to a model.

Source: "ArcMemo: Abstract Reasoning Composition with Lifelong LLM Memory", 2025, arXiv:2509.04439:
an entry has a name, a kind (a structure that problems have, or a routine that solves them), typed
parameters, a description, cues that it is of use, and notes on how. Entries of one name are one:
the first description and kind stay, cues, notes and parameters are united.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import yaml

from tts.storage.bounded_yaml import compose, construct

_FENCE = re.compile(r"```(?:ya?ml)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_LEAD = re.compile(r"^(\s*(?:-\s+)?(?:(?:name|kind|description|parameters|cues|notes):(?:\s+|$))?)")
_AS_IT_IS = re.compile(r"\".*\"|'.*'|\[.*\]|\{.*\}")
_KINDS = ("structure", "routine")
_MOST_CHARS = 400  # of a description, cue or note; the rest is left out


@dataclass(frozen=True, slots=True)
class Concept:
    """One entry.

    Attributes:
        name: Unique in a memory, whatever its case.
        kind: "structure" or "routine".
        description: What it is.
        parameters: What it depends on, such as "n: int".
        cues: When it is of use.
        notes: How it is used.
    """

    name: str
    kind: str = "routine"
    description: str = ""
    parameters: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[Any, Any]) -> Self | None:
        """Return the concept of a model's mapping; None without a name or any content."""
        name = _line(values.get("name"))
        kind = _line(values.get("kind")).lower()
        made = cls(
            name=name,
            kind=kind if kind in _KINDS else "routine",
            description=_line(values.get("description")),
            parameters=_lines(values.get("parameters")),
            cues=_lines(values.get("cues")),
            notes=_lines(values.get("notes")),
        )
        return made if name and (made.description or made.notes) else None

    def to_mapping(self) -> dict[str, Any]:
        """Return its JSON values, which `of` reads."""
        return asdict(self)

    def __str__(self) -> str:
        """Return it as it is shown to a model."""
        taken = f"({', '.join(self.parameters)})" if self.parameters else ""
        lines = [f"- {self.name}{taken}, a {self.kind}: {self.description}".rstrip(": ")]
        lines += [f"  Cue: {cue}" for cue in self.cues]
        lines += [f"  Note: {note}" for note in self.notes]
        return "\n".join(lines)


def merge(concepts: Iterable[Concept]) -> list[Concept]:
    """Return concepts with those of one name made one, in the order in which names first came."""
    known: dict[str, Concept] = {}
    for new in concepts:
        old = known.get(new.name.casefold(), new)
        known[new.name.casefold()] = replace(
            old,
            description=old.description or new.description,
            parameters=_united(old.parameters, new.parameters),
            cues=_united(old.cues, new.cues),
            notes=_united(old.notes, new.notes),
        )
    return list(known.values())


def parse_concepts(text: str) -> list[Concept]:
    """Return the concepts of a model's YAML list; what cannot be read is none.

    Where YAML reads nothing, it tries again with every sentence quoted: models write colons into
    them ("A rule: add").
    """
    fenced = _FENCE.findall(text)
    written = fenced[-1] if fenced else text
    return _read(written) or _read(_quoted(written))


def _read(text: str) -> list[Concept]:
    try:
        node = compose(text)
        values = None if node is None else construct(node)
    except yaml.YAMLError:
        return []
    entries = values if isinstance(values, list) else [values]
    made = (Concept.of(entry) for entry in entries if isinstance(entry, Mapping))
    return [concept for concept in made if concept is not None]


def _quoted(text: str) -> str:
    """Return YAML in which every plain scalar stands in quotation marks, on one line."""
    parts: list[tuple[str, str]] = []  # what a line begins with, and its scalar
    for line in text.splitlines():
        _, lead, value = _LEAD.split(line, maxsplit=1)
        if lead.strip() or not parts:
            parts.append((lead, value))
        elif value:  # goes on with the line before
            parts[-1] = parts[-1][0], f"{parts[-1][1]} {value}".strip()
    return "\n".join(lead + (_as_scalar(value) if value else "") for lead, value in parts)


def _as_scalar(value: str) -> str:
    return value if _AS_IT_IS.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def named_in(text: str, concepts: Sequence[Concept], most: int) -> list[Concept]:
    """Return the concepts that the lines of a list name, in its order; unknown names are none."""
    known = {concept.name.casefold(): concept for concept in concepts}
    names = (line.strip().lstrip("-*0123456789.) ").strip("\"'` ") for line in text.splitlines())
    found = dict.fromkeys(known[name.casefold()] for name in names if name.casefold() in known)
    return list(found)[:most]


def _united(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _lines(value: Any) -> tuple[str, ...]:
    entries = value if isinstance(value, list | tuple) else [value]
    return tuple(dict.fromkeys(filter(None, map(_line, entries))))


def _line(value: Any) -> str:
    if isinstance(value, Mapping):  # a model's "- n: int" is a mapping in YAML
        value = ", ".join(f"{key}: {one}" for key, one in value.items())
    return "" if value is None else " ".join(str(value).split())[:_MOST_CHARS]
