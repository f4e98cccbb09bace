"""vLLM's model run over views: its own weights and layers, our attention and cache.

For the time of a step each attention layer's implementation is ours. The model gets each token's
place in its segment as its position, so that the keys that it writes, rotated by its own rotary
layer, are those of a segment that begins at 0; queries are turned on to where each segment lies in
their view (`tts.kernels.views`). Imports vLLM and torch: import it by name.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor
from vllm.forward_context import set_forward_context
from vllm.model_executor.layers.attention import Attention
from vllm.model_executor.layers.rotary_embedding.base import RotaryEmbedding

from tts.engine.segments import CacheForm, Segments
from tts.engine.teamwork import Row
from tts.errors import CapabilityError
from tts.kernels.contracts import check_heads
from tts.kernels.launch import is_interpreted
from tts.kernels.view_decode import CHUNK_TOKENS, view_decode
from tts.kernels.views import Part, ViewPlan, build_view_plan, view_attention

# Each of their layers rotates all channels of queries and keys, and attends to the whole context.
ARCHITECTURES = (
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen2MoeForCausalLM",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
)
_PLAIN_CACHE = ("auto", "float16", "bfloat16", "float32")


@dataclass(frozen=True, slots=True)
class _Step:
    """What all layers share in one step.

    Attributes:
        slots: [T] int64, where each token's key and value go.
        table: [segments, pages] int32.
        plan: Who sees what.
    """

    slots: Tensor
    table: Tensor
    plan: ViewPlan


class ViewForward:
    """Runs the model of a built vLLM engine; used only in the thread that steps it.

    Raises:
        CapabilityError: Its layers do more than attend to rotated keys of the whole context.
    """

    def __init__(self, engine: Any) -> None:
        self._config = engine.vllm_config
        self._model = engine.model_executor.driver_worker.worker.model_runner.get_model()
        layers = self._config.compilation_config.static_forward_context
        self._layers: list[Any] = list(layers.values())
        self._check()
        first = self._layers[0]
        weight = next(self._model.parameters())
        form = CacheForm(
            len(self._layers),
            first.num_kv_heads,
            first.head_size,
            self._config.model_config.dtype,
            weight.device,
        )
        self.segments = Segments(form)
        self._device = weight.device
        self._cos, self._sin = _angles(self._model, weight.device)

    def run(self, rows: Sequence[Row]) -> Tensor:
        """Run a step; returns the logits after the last token of each row, [rows, V] float32.

        New tokens are in their segments before anyone attends: each sees those that the others
        write in the same step.
        """
        slots = [slot for row in rows for slot in self._extend(row)]
        places, plan, table = self._plan(rows)
        step = _Step(torch.tensor(slots, device=self._device), table, plan)
        ids = torch.tensor([token for row in rows for token in row.tokens], device=self._device)
        positions = torch.tensor(places, device=self._device)
        ends = torch.tensor([len(row.tokens) for row in rows], device=self._device).cumsum(0) - 1
        context = set_forward_context(
            None, self._config, num_tokens=len(ids), slot_mapping={}, skip_compiled=True
        )
        with torch.inference_mode(), self._attending(step), context:
            hidden = self._model(
                input_ids=ids, positions=positions, intermediate_tensors=None, inputs_embeds=None
            )
            logits: Tensor = self._model.compute_logits(hidden[ends])
        return logits.float()

    def _extend(self, row: Row) -> list[int]:
        return self.segments.extend(row.view[-1], len(row.tokens))

    def _plan(self, rows: Sequence[Row]) -> tuple[list[int], ViewPlan, Tensor]:
        """Return each token's place in its segment, what it sees, and the segments' pages."""
        names = list(dict.fromkeys(name for row in rows for name in row.view))
        lines = {name: line for line, name in enumerate(names)}
        length = {name: self.segments.length(name) for name in names}
        places: list[int] = []
        views: list[list[Part]] = []
        for row in rows:
            *others, own = row.view
            turn = sum(length[name] for name in others)
            seen: list[Part] = []
            for name in others:
                seen.append(Part(lines[name], length[name], turn))
                turn -= length[name]
            for place in range(length[own] - len(row.tokens), length[own]):
                places.append(place)
                views.append([*seen, Part(lines[own], place + 1, 0)])
        plan = build_view_plan(views, self._cos, self._sin, chunk=CHUNK_TOKENS)
        return places, plan, self.segments.table(names)

    @contextmanager
    def _attending(self, step: _Step) -> Iterator[None]:
        """Have the model's layers attend as a step says."""
        theirs = [layer.impl for layer in self._layers]
        for layer, cache in zip(self._layers, self.segments.caches, strict=True):
            layer.impl = _ViewAttention(cache, step, layer.impl.scale)
        try:
            yield
        finally:
            for layer, impl in zip(self._layers, theirs, strict=True):
                layer.impl = impl

    def _check(self) -> None:
        architecture = self._config.model_config.architecture
        rotary = [part for part in self._model.modules() if isinstance(part, RotaryEmbedding)]
        whole = all(part.rotary_dim == part.head_size and part.is_neox_style for part in rotary)
        first = self._layers[0] if self._layers else None
        config = self._config
        reasons = {
            "steps in other processes": config.parallel_config.world_size > 1,
            "speculative decoding": config.speculative_config is not None,
            "a pooling runner": config.model_config.runner_type != "generate",
            f"{architecture} (possible are {', '.join(ARCHITECTURES)})": (
                architecture not in ARCHITECTURES or first is None
            ),
            "rotary layers of several kinds, or that leave channels out": (
                len(rotary) != 1 or not whole
            ),
            "layers other than plain attention over the whole context": not all(
                isinstance(layer, Attention) and _is_plain(layer) for layer in self._layers
            ),
            "a quantised KV cache (leave kv_cache_dtype out)": any(
                getattr(layer, "kv_cache_dtype", "auto") not in _PLAIN_CACHE
                for layer in self._layers
            ),
        }
        found = [name for name, is_there in reasons.items() if is_there]
        if first is None or found:
            _refuse("; ".join(found))
        try:
            check_heads(first.num_heads, first.num_kv_heads, first.head_size)
        except ValueError as error:
            _refuse(str(error))


@dataclass(frozen=True, slots=True)
class _ViewAttention:
    """Takes the place of one layer's attention during one step."""

    cache: Tensor
    step: _Step
    scale: float

    def forward(
        self, layer: Any, query: Tensor, key: Tensor, value: Tensor, *args: Any, **named: Any
    ) -> Tensor:
        """Write keys and values of the step's tokens, then attend.

        Args:
            layer: vLLM's.
            query: [T, Hq, D].
            key: [T, Hkv, D].
            value: [T, Hkv, D].
            args: vLLM's cache, and what it knows of the step.
            named: `output`, [T, Hq, D], which is written and returned; no scales.
        """
        step, size = self.step, self.cache.shape[2]
        new = torch.cat((key, value), dim=-1).to(self.cache.dtype)
        self.cache[step.slots // size, :, step.slots % size] = new
        attend = view_decode if query.is_cuda or is_interpreted() else view_attention
        output: Tensor = named["output"]
        seen = attend(query.contiguous(), self.cache, step.table, step.plan, scale=self.scale)
        return output.copy_(seen.out)


def _angles(model: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cos and sin of the model's rotary angles by place, [positions, D / 2] float32 each.

    Some kinds of rotary layer also stretch what they rotate; a turn alone does not.
    """
    (rotary,) = [part for part in model.modules() if isinstance(part, RotaryEmbedding)]
    cos, sin = rotary._compute_cos_sin_cache().float().to(device).chunk(2, dim=-1)
    stretch = torch.hypot(cos, sin)
    return cos / stretch, sin / stretch


def _is_plain(layer: Any) -> bool:
    impl = layer.impl
    return (
        layer.sliding_window is None
        and layer.kv_sharing_target_layer_name is None
        and not layer.has_sink
        and layer.attn_type == "decoder"
        and layer.head_size_v == layer.head_size
        and getattr(impl, "alibi_slopes", None) is None
        and not getattr(impl, "logits_soft_cap", None)
    )


def _refuse(what: str) -> NoReturn:
    raise CapabilityError(
        f"workers cannot write over one cache of this model: it has {what}; the preset "
        "hogwild_lagged asks for nothing special"
    )
