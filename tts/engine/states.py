"""Hidden states of what an embedded vLLM generates or reads. Loads torch: import it by name.

The runner's forward pass is wrapped: what it returns is looked at in place, one gather for all rows
of a step. vLLM's own tap for speculative decoding (`set_aux_hidden_state_layers`) brings the inner
layers; it is closed while nobody asks. A compiled model has its outputs fixed when it is built, so
there only the last layer can be had.

A step that only reads texts stops at the highest layer that they ask for: what lies above it is of
no use to a text whose states alone are wanted. So the upper layers' keys and values of such a text
are not there, and its blocks are shared with texts read to the same layer only (`salt`).

Of each sequence that generates, two states are held: of the token drawn last, and of the one before
it. When it is known, one step later, that a token ended a paragraph, its state is put aside. So
what is kept is what was asked for, whatever the length of the text.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.errors import CapabilityError
from tts.types import States, StateSpec
from tts.types.states import AT

PARAGRAPH = "\n\n"
_MOST = torch.finfo(torch.float16).max  # of a few dimensions the states of some models exceed it
_FIRST_SLOTS = 64


@dataclass(slots=True)
class _Kept:
    """What is put aside of one sequence: a place, and where its state lies in a step's block.

    Attributes:
        spec: What is asked for.
        slot: Its rows in the rings are 2 * slot and the next; -1 before its first token.
        rows: Each a place, a step's block by layer, and the row in it.
    """

    spec: StateSpec
    slot: int = -1
    rows: list[tuple[int, dict[int, Tensor], int]] = field(default_factory=list)


@dataclass(slots=True)
class _Reading:
    """A text that is read.

    Attributes:
        spec: What is asked for.
        places: Where, in the text.
        shift: Added to a place, the position in the request whose state it is.
        rows: States so far, layer by layer of one place after the other.
    """

    spec: StateSpec
    places: tuple[int, ...]
    shift: int
    rows: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Where in a step's batch the sequences are whose states are kept; the same for many steps.

    Attributes:
        names: Of all sequences of the batch, by row.
        kept: Those of which states are kept, in the order of their rows.
        rows: Theirs.
        slots: Theirs.
        wants_more: Whether one of them wants more than its end.
    """

    names: tuple[str, ...]
    kept: list[_Kept]
    rows: NDArray[np.int64]
    slots: NDArray[np.int64]
    wants_more: bool


class StateReader:
    """Reads states within the engine's steps; used only in the thread that steps it.

    Args:
        engine: vLLM's engine, built; its forward pass is wrapped.
        vocabulary: Text of each token.
    """

    def __init__(self, engine: Any, vocabulary: Sequence[str]) -> None:
        self._runner = engine.model_executor.driver_worker.worker.model_runner
        self._num_layers = engine.vllm_config.model_config.get_total_num_hidden_layers()
        self._is_ahead = bool(engine.vllm_config.scheduler_config.async_scheduling)
        self._is_eager = engine.vllm_config.model_config.enforce_eager
        self._kept: dict[str, _Kept] = {}
        self._readings: dict[str, _Reading] = {}
        self._batch: _Batch | None = None
        self._asked: Counter[int] = Counter()  # sequences and texts by layer
        self._layers: tuple[int, ...] = ()
        self._free = list(range(_FIRST_SLOTS))
        self._next = np.zeros(_FIRST_SLOTS, np.int64)  # by slot: place of the state to come
        self._wants = np.zeros(_FIRST_SLOTS, np.int8)  # by slot: index in AT
        self._rings: dict[int, Tensor] = {}
        self._ends = np.array([PARAGRAPH in text for text in vocabulary], bool)
        self._decoder = _find_decoder(self._runner.get_model()) if self._is_eager else None
        self._forward = self._runner._model_forward
        self._runner._model_forward = self._watched

    def check(self, spec: StateSpec) -> None:
        """Refuse layers that cannot be had.

        Raises:
            CapabilityError: The model has no such layer, or vLLM cannot tap it.
        """
        if max(spec.layers) > self._num_layers:
            raise CapabilityError(
                f"no layer {max(spec.layers)}: the model has {self._num_layers}, counted from 1"
            )
        if min(spec.layers) == self._num_layers:
            return
        if not hasattr(self._runner.get_model(), "set_aux_hidden_state_layers"):
            raise CapabilityError(
                f"vLLM taps no inner layers of this architecture; only {self._num_layers}, the "
                "last, can be had"
            )
        if not self._is_eager:
            raise CapabilityError(
                f"the model is compiled, and then only layer {self._num_layers}, the last, can be "
                "had: set the engine option enforce_eager=true, or read texts with MODEL?pooling"
            )

    def places(self, token_ids: Sequence[int], spec: StateSpec) -> tuple[int, ...]:
        """Return the places of a generated text at which states are kept."""
        if not token_ids or spec.at == "tokens":
            return tuple(range(len(token_ids)))
        last = len(token_ids) - 1
        if spec.at == "end":
            return (last,)
        ended = np.flatnonzero(self._ends[np.asarray(token_ids[:-1], np.int64)])
        return (*ended.tolist(), last)

    def follow(self, request_id: str, spec: StateSpec) -> None:
        """Keep states of a sequence that is about to be generated."""
        self._kept[request_id] = _Kept(spec)
        self._ask(spec)

    def read(self, request_id: str, spec: StateSpec, places: Sequence[int], *, start: int) -> None:
        """Keep states of a text that is about to be read.

        Args:
            request_id: Of the request that reads it.
            spec: What is kept.
            places: Where: tokens after the first `start`, whose states are those of the token
                before each.
            start: Length of the prompt that stands before it.
        """
        self._readings[request_id] = _Reading(spec, tuple(places), start - 1)
        self._ask(spec)

    def salt(self, spec: StateSpec) -> str | None:
        """Return what keeps a text's cached blocks apart from those of other depth."""
        top = max(spec.layers)
        return None if top == self._num_layers else f"read to layer {top}"

    def take(self, request_id: str, token_ids: Sequence[int]) -> States | None:
        """Return what was kept of a sequence or text that has ended.

        Args:
            request_id: Of the request.
            token_ids: What it has generated.

        Returns:
            None if nothing was asked for, or if vLLM left states out.
        """
        kept, reading = self._kept.get(request_id), self._readings.get(request_id)
        if kept is not None:
            states = self._taken(kept, self.places(token_ids, kept.spec))
        elif reading is not None:
            states = _pack(reading.spec, reading.places, reading.rows)
        else:
            return None
        self.drop(request_id)
        return states

    def _taken(self, kept: _Kept, places: tuple[int, ...]) -> States | None:
        found = {place: (block, row) for place, block, row in kept.rows}
        if places and kept.slot >= 0 and self._next[kept.slot] - places[-1] in (1, 2):
            last = places[-1]
            found.setdefault(last, (self._rings, 2 * kept.slot + last % 2))
        if not found.keys() >= set(places):
            return None
        layers = kept.spec.layers
        return _pack(
            kept.spec,
            places,
            [found[place][0][layer][found[place][1]] for place in places for layer in layers],
        )

    def drop(self, request_id: str) -> None:
        """Forget a sequence or a text; one that is unknown is no fault."""
        kept, reading = self._kept.pop(request_id, None), self._readings.pop(request_id, None)
        if kept is not None:
            if kept.slot >= 0:
                self._free.append(kept.slot)
            self._unask(kept.spec)
        if reading is not None:
            self._unask(reading.spec)

    @property
    def num_bytes(self) -> int:
        """Memory that kept states take now, in bytes."""
        blocks = {id(block): block for kept in self._kept.values() for _, block, _ in kept.rows}
        tensors = [tensor for block in (self._rings, *blocks.values()) for tensor in block.values()]
        tensors += [row for reading in self._readings.values() for row in reading.rows]
        return sum(tensor.nbytes for tensor in tensors)

    def _ask(self, spec: StateSpec) -> None:
        self._asked.update(spec.layers)
        self._tap()

    def _unask(self, spec: StateSpec) -> None:
        self._asked.subtract(spec.layers)
        self._asked += Counter()  # drops those that nobody asks for
        self._tap()

    def _tap(self) -> None:
        """Have the model give the inner layers that somebody asks for."""
        self._batch = None
        layers = tuple(sorted(self._asked.keys()))
        if layers == self._layers:
            return
        inner = tuple(layer for layer in layers if layer < self._num_layers)
        if inner or any(layer < self._num_layers for layer in self._layers):
            self._runner.get_model().set_aux_hidden_state_layers(inner)
        self._layers = layers
        self._rings = {layer: ring for layer, ring in self._rings.items() if layer in layers}

    def _watched(self, **inputs: Any) -> Any:
        with self._no_deeper_than_asked():
            output = self._forward(**inputs)
        hidden, inner = output if isinstance(output, tuple) else (output, [])
        if self._layers:
            # After a step that stopped early, the lower ones alone.
            by_layer = dict(zip(self._layers, inner, strict=False))
            self._look({**by_layer, self._num_layers: hidden})
        return hidden

    @contextmanager
    def _no_deeper_than_asked(self) -> Iterator[None]:
        """Have a step that only reads texts stop at the highest layer that they ask for."""
        names = self._runner.input_batch.req_ids if self._readings else ()
        if self._decoder is None or not names or not self._readings.keys() >= set(names):
            yield
            return
        top = max(max(self._readings[name].spec.layers) for name in names)
        whole, self._decoder.end_layer = self._decoder.end_layer, top
        try:
            yield
        finally:
            self._decoder.end_layer = whole

    def _look(self, by_layer: dict[int, Tensor]) -> None:
        """Note the states of a step: [tokens, D] of each layer."""
        batch = self._runner.input_batch
        count = batch.num_reqs
        begins = self._runner.query_start_loc.np[: count + 1]
        computed = batch.num_computed_tokens_cpu[:count]
        names = tuple(batch.req_ids)
        if self._readings:
            self._look_at_texts(names, begins, computed, by_layer)
        if self._kept:
            ends = begins[1:] - 1
            places = computed + np.diff(begins) - batch.num_prompt_tokens[:count]
            self._look_at_drawn(names, ends, places, by_layer)

    def _look_at_texts(
        self, names: tuple[str, ...], begins: Any, computed: Any, by_layer: dict[int, Tensor]
    ) -> None:
        for index, name in enumerate(names):
            reading = self._readings.get(name)
            if reading is None:
                continue
            first, size = computed[index], begins[index + 1] - begins[index]
            wanted = np.asarray(reading.places, np.int64) + reading.shift - first
            wanted = wanted[(wanted >= 0) & (wanted < size)]
            if len(wanted):
                rows = _index(wanted + begins[index], by_layer)
                read = [_halves(by_layer[layer], rows) for layer in reading.spec.layers]
                reading.rows += torch.stack(read, dim=1).flatten(0, 1).unbind()

    def _look_at_drawn(
        self,
        names: tuple[str, ...],
        ends: NDArray[np.int64],
        places: NDArray[np.int64],
        by_layer: dict[int, Tensor],
    ) -> None:
        """Put aside the states of tokens that are now known to end a paragraph; note the new ones.

        A row counts if its state draws the token that comes next: not while a prompt is read in
        parts, nor what is read again after a preemption.
        """
        batch = self._batch
        if batch is None or batch.names != names:
            batch = self._batch = self._begin(names)
        rows, slots = batch.rows, batch.slots
        chosen = np.flatnonzero(places[rows] == self._next[slots])
        if len(chosen) < len(rows):
            rows, slots = rows[chosen], slots[chosen]
        if not len(rows):
            return
        where, where_in_step = places[rows], ends[rows]
        of_rows = _index(where_in_step, by_layer)
        if batch.wants_more:
            wants = self._wants[slots]
            drawn = self._read_tokens(where_in_step, of_rows)
            aside = (where > 0) & ((wants == 2) | ((wants == 1) & self._ends[drawn]))
            if aside.any():
                which = np.flatnonzero(aside)
                kept = [batch.kept[index] for index in chosen[which].tolist()]
                self._put_aside(kept, slots[which], where[which] - 1)
        targets = _index(2 * slots + where % 2, by_layer)
        for layer in self._layers:
            values = _halves(by_layer[layer], of_rows)
            ring = self._rings.get(layer)
            if ring is None or len(ring) < 2 * len(self._next):
                ring = self._rings[layer] = _grown(ring, 2 * len(self._next), values)
            ring.index_copy_(0, targets, values)
        self._next[slots] = where + 1

    def _read_tokens(self, rows: NDArray[np.int64], same: Tensor) -> NDArray[np.int32]:
        """Return the tokens of a step's rows; on a GPU the host may not know them yet."""
        tokens = self._runner.input_ids
        if self._is_ahead:
            drawn: NDArray[np.int32] = tokens.gpu[same].cpu().numpy()
        else:
            drawn = tokens.np[rows]
        return drawn

    def _put_aside(
        self, sequences: Sequence[_Kept], slots: NDArray[np.int64], places: NDArray[np.int64]
    ) -> None:
        rows = _index(2 * slots + places % 2, self._rings)
        block = {layer: ring.index_select(0, rows) for layer, ring in self._rings.items()}
        for row, (kept, place) in enumerate(zip(sequences, places.tolist(), strict=True)):
            kept.rows.append((place, block, row))

    def _begin(self, names: tuple[str, ...]) -> _Batch:
        """Return where the sequences of a batch are whose states are kept."""
        found = [(row, self._kept[name]) for row, name in enumerate(names) if name in self._kept]
        for _, kept in found:
            if kept.slot < 0:
                kept.slot = self._new_slot()
                self._next[kept.slot] = 0
                self._wants[kept.slot] = AT.index(kept.spec.at)
        return _Batch(
            names,
            [kept for _, kept in found],
            np.array([row for row, _ in found], np.int64),
            np.array([kept.slot for _, kept in found], np.int64),
            any(kept.spec.at != "end" for _, kept in found),
        )

    def _new_slot(self) -> int:
        if not self._free:
            size = len(self._next)
            self._next = np.concatenate([self._next, np.zeros_like(self._next)])
            self._wants = np.concatenate([self._wants, np.zeros_like(self._wants)])
            self._free = list(range(size, 2 * size))
        return self._free.pop()


def install(engine: Any) -> StateReader:
    """Return the reader of a vLLM engine that has been built."""
    tokenizer = engine.get_tokenizer()
    size = engine.vllm_config.model_config.get_vocab_size()
    known = min(size, len(tokenizer))
    texts = tokenizer.batch_decode([[token] for token in range(known)])
    return StateReader(engine, [*texts, *[""] * (size - known)])


def _find_decoder(model: Any) -> Any | None:
    """Return the part of a model that runs its layers up to `end_layer` and hands out taps."""
    wanted = ("end_layer", "aux_hidden_state_layers")
    parts = (part for part in model.modules() if all(hasattr(part, name) for name in wanted))
    return next(parts, None)


def _index(rows: NDArray[np.int64], like: dict[int, Tensor]) -> Tensor:
    device = next(iter(like.values())).device
    return torch.from_numpy(np.ascontiguousarray(rows, np.int64)).to(device, non_blocking=True)


def _halves(values: Tensor, rows: Tensor) -> Tensor:
    return values.index_select(0, rows).half()


def _grown(ring: Tensor | None, size: int, like: Tensor) -> Tensor:
    grown = like.new_zeros(size, like.shape[1])
    if ring is not None:
        grown[: len(ring)] = ring
    return grown


def _pack(spec: StateSpec, places: tuple[int, ...], rows: Sequence[Tensor]) -> States | None:
    """Return states of rows, [D] each, layer by layer of one place after the other."""
    if len(rows) != len(places) * len(spec.layers):
        return None
    if not rows:
        return States(spec.layers, places, b"")
    finite = torch.stack(list(rows)).clamp_(-_MOST, _MOST)
    return States(spec.layers, places, finite.cpu().numpy().tobytes())
