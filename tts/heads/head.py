"""A value head and its file.

A head maps the hidden state at a token, and how far into the text that is, to the chance that the
text will end in a right answer. It belongs to one model: the file names the model's weights, whose
hash covers its tokenizer and chat template too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError, optional_import
from tts.types import States, StateSpec

FILE = "head.safetensors"
_FORMAT = "1"
_ARRAYS = {"mean", "scale", "out_weight", "out_bias", "calibration"}
_HIDDEN = {"hidden_weight", "hidden_bias"}
_ATTENTION = {"query", "key", "far"}  # of the hidden layer's units

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A head.

    Attributes:
        weights: Of the model that it was trained on, as `ModelInfo.weights`.
        model: Its name then.
        spec: The states that it reads.
        arrays: F features are standardised by `mean` and `scale`, [F]; then, with a hidden layer,
            max(0, features @ hidden_weight + hidden_bias), [F, H] and [H]; then, with attention,
            beside them their mean over the places so far (`look_back`); then @ out_weight +
            out_bias, [F, H or 2 H] and [1], is the logit, of which `calibration` holds slope and
            offset. `query` and `key` are [H, A], `far` is [1].
        facts: How it was trained and how good it is, as JSON values.
    """

    weights: str
    model: str
    spec: StateSpec
    arrays: Mapping[str, Array]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bars(self) -> tuple[tuple[float, float], ...]:
        """Values below which a solution is hopeless, by the share of right ones that are lost."""
        return tuple((bar["loss"], bar["value"]) for bar in self.facts.get("bars", ()))

    def values(self, states: States) -> tuple[float, ...]:
        """Return the chance of a right answer at each place.

        Raises:
            ValueError: States are of other layers or sizes, or not finite.
        """
        read = states.of_layers(self.spec.layers)
        features = to_features(read.values, np.asarray(read.places))
        if features.shape[1] != len(self.arrays["mean"]):
            raise ValueError(
                f"the states have {features.shape[1]} features, the head reads "
                f"{len(self.arrays['mean'])}"
            )
        if not np.isfinite(features).all():
            raise ValueError("the states are not finite")
        slope, offset = self.arrays["calibration"]
        of_one = np.zeros(len(features), np.int64)
        return tuple(sigmoid(slope * self.logits(features, of_one) + offset).tolist())

    def logits(self, features: Array, solution: NDArray[np.int64]) -> Array:
        """Return the logits before calibration, [R].

        Args:
            features: [R, F].
            solution: [R], of which solution a place is; those of one follow each other.
        """
        arrays = self.arrays
        hidden: Array = (features - arrays["mean"]) / arrays["scale"]
        if "hidden_weight" in arrays:
            hidden = (hidden @ arrays["hidden_weight"] + arrays["hidden_bias"]).clip(min=0)
        if "query" in arrays and len(hidden):
            parts = np.split(hidden, np.flatnonzero(np.diff(solution)) + 1)
            seen = np.concatenate([self._look_back(part) for part in parts])
            hidden = np.concatenate([hidden, seen], axis=1)
        logits: Array = hidden @ arrays["out_weight"] + arrays["out_bias"]
        return logits

    def _look_back(self, units: Array) -> Array:
        """Return, for each place of a solution, a mean of its units so far, [R, H].

        Weighed by softmax of query and key, less far^2 for each place in between.
        """
        query, key = units @ self.arrays["query"], units @ self.arrays["key"]
        back = np.arange(len(units))[:, None] - np.arange(len(units))
        scores = query @ key.T / key.shape[1] ** 0.5 - self.arrays["far"] ** 2 * back
        scores = np.where(back < 0, -np.inf, scores)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        mean: Array = (weights / weights.sum(axis=1, keepdims=True)) @ units
        return mean

    def save(self, folder: Path) -> None:
        """Write it into a folder, which is made if missing.

        Raises:
            InputError: The folder cannot be written.
        """
        said = {
            "format": _FORMAT,
            "weights": self.weights,
            "model": self.model,
            "layers": json.dumps(self.spec.layers),
            "at": self.spec.at,
            "facts": json.dumps(self.facts),
        }
        save_file = _library("safetensors.numpy").save_file
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(dict(self.arrays), folder / FILE, metadata=said)
        except OSError as error:
            raise InputError(f"{folder / FILE}: cannot be written: {error.strerror}") from error


def load_head(folder: Path) -> Head:
    """Read a head.

    Args:
        folder: That `save` wrote, or the file in it.

    Raises:
        InputError: There is none, or it is damaged.
    """
    path = folder / FILE if folder.is_dir() else folder
    if not path.is_file():
        raise InputError(f"no head at {folder}: `tts train-verifier ... -o {folder}` makes one")
    safe_open = _library("safetensors").safe_open
    try:
        with safe_open(path, framework="np") as file:
            said = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        spec = StateSpec(tuple(json.loads(said["layers"])), said["at"])
        head = Head(said["weights"], said["model"], spec, arrays, json.loads(said["facts"]))
    except Exception as error:  # its own class for each damage, and the library's
        raise InputError(f"{path}: not a head: {error}") from error
    if said.get("format") != _FORMAT:
        raise InputError(f"{path}: a head of format {said.get('format')}, this reads {_FORMAT}")
    _check(path, arrays)
    return head


def _check(path: Path, arrays: Mapping[str, Array]) -> None:
    names = arrays.keys()
    if names - _ARRAYS not in (set(), _HIDDEN, _HIDDEN | _ATTENTION) or not names >= _ARRAYS:
        raise InputError(f"{path}: not a head: it holds {', '.join(sorted(names))}")
    if bad := sorted(name for name in names if not np.isfinite(arrays[name]).all()):
        raise InputError(f"{path}: {bad[0]} is not finite")


def to_features(states: NDArray[np.float16], places: NDArray[Any]) -> Array:
    """Return what a head reads: the states of its layers, and the logarithm of the place.

    Args:
        states: [R, layers, D].
        places: [R], of the tokens, counted from the first generated one.

    Returns:
        [R, layers * D + 1].
    """
    flat = states.reshape(len(states), -1).astype(np.float32)
    return np.concatenate([flat, np.log1p(places.astype(np.float32))[:, None]], axis=1)


def sigmoid(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)), without overflow."""
    half = 0.5 * np.asarray(logits, np.float64)
    return 0.5 * (1.0 + np.tanh(half))


def _library(module: str) -> Any:
    """Import what only the use of a head needs: presets that name one load without."""
    with optional_import("a value head"):
        return import_module(module)
