"""Hidden states of a model: which are asked for, and those that came."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from tts.types.usage import Usage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tts.types.arrays import FloatArray

At = Literal["end", "steps", "tokens"]
AT: tuple[At, ...] = get_args(At)  # from few states to many


@dataclass(frozen=True, slots=True)
class StateSpec:
    """Which hidden states of the model are kept of what it generates.

    The state at a token is what the model knew when it drew that token: it has read all before it.

    Attributes:
        layers: Decoder layers whose output is kept, counted from 1. The last one's is normalised,
            as the logits are made of it.
        at: At the last token; at the last token of every paragraph and of the whole; or at each.
    """

    layers: tuple[int, ...]
    at: At = "steps"

    def __post_init__(self) -> None:
        """Refuse layers that no model has."""
        if not self.layers or min(self.layers) < 1 or len(set(self.layers)) < len(self.layers):
            raise ValueError(f"layers {list(self.layers)}: name at least one, each once, from 1 on")


@dataclass(frozen=True, slots=True)
class States:
    """Hidden states at some tokens of a text.

    Attributes:
        layers: As they were asked for.
        places: Of the tokens, counted from the first generated one, rising.
        data: fp16 numbers, [places, layers, D], row after row.
    """

    layers: tuple[int, ...]
    places: tuple[int, ...]
    data: bytes

    @property
    def values(self) -> "NDArray[np.float16]":
        """The states as an array, [places, layers, D]."""
        numpy: Any = import_module("numpy")  # of no use to most who import this module
        flat = numpy.frombuffer(self.data, numpy.float16)
        width = len(flat) // max(1, len(self.places) * len(self.layers))
        shaped: NDArray[np.float16] = flat.reshape(len(self.places), len(self.layers), width)
        return shaped

    def of_layers(self, layers: tuple[int, ...]) -> "States":
        """Return those of some of the layers.

        Raises:
            ValueError: A layer is missing.
        """
        if missing := set(layers) - set(self.layers):
            raise ValueError(f"the states lack layer {min(missing)}")
        if layers == self.layers:
            return self
        chosen = self.values[:, [self.layers.index(layer) for layer in layers]]
        return States(layers, self.places, chosen.tobytes())

    def to_mapping(self) -> dict[str, Any]:
        """Return them as JSON values."""
        data = base64.b64encode(self.data).decode()
        return {"layers": self.layers, "places": self.places, "data": data}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_mapping` wrote.

        Raises:
            ValueError: The data are damaged.
        """
        try:
            data = base64.b64decode(values["data"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"states: {error}") from error
        return cls(tuple(values["layers"]), tuple(values["places"]), data)

    @classmethod
    def join(cls, parts: Sequence["States | None"], sizes: Sequence[int]) -> "States | None":
        """Return the states of texts that follow each other; None where those of one are missing.

        Args:
            parts: Of each text.
            sizes: Its generated tokens.
        """
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or len({part.layers for part in known}) != 1:
            return None
        places: list[int] = []
        start = 0
        for part, size in zip(known, sizes, strict=True):
            places += [start + place for place in part.places]
            start += size
        return cls(known[0].layers, tuple(places), b"".join(part.data for part in known))


@dataclass(frozen=True, slots=True)
class ReadStates:
    """States of a given text, and what reading it cost."""

    states: States
    usage: Usage


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-probabilities of a given text's tokens, in order, and what reading it cost."""

    logprobs: tuple[float, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of texts, [texts, D], not normalised, and what reading the texts cost."""

    vectors: "FloatArray"
    usage: Usage
