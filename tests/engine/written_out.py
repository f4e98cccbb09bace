"""Teams for tests, and a model that attends to their layout written out in full."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.models.qwen3.modeling_qwen3 import apply_rotary_pos_emb

from tts.bundled import resolve
from tts.engine.teamwork import Row
from tts.types import Team

TEAM = Team(
    names=("A", "B"),
    openings=("A [1]: 7", "B [1]: 6 * 5"),
    step="{name} [{number}]: ",
    others="\n\n= others =\n\n",
    between="=\n\n",
    own="=\n\n= own =\n\n",
    check="check ",
    answer_mark="\\boxed{",
    banned=("#",),
)


def team_of(*names: str, **changes: Any) -> Team:
    """Return a team of these workers."""
    openings = tuple(f"{name} [1]: 7" for name in names)
    return replace(TEAM, **{"names": names, "openings": openings, **changes})


class Dense:
    """The bundled reasoner by transformers' layers: each step lays all views out, and attends.

    Keys are kept as they are before they are rotated, and rotated for their places in each view.
    """

    def __init__(self) -> None:
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            resolve("reasoner"), dtype=torch.float32
        )
        self._kept: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    @torch.inference_mode()
    def run(self, rows: Sequence[Row]) -> Tensor:
        """Return the logits after the last token of each row, [rows, V]."""
        trunk = self._model.model
        states = [trunk.embed_tokens(torch.tensor(row.tokens)) for row in rows]
        for place, layer in enumerate(trunk.layers):
            states = self._layer(place, layer, rows, states)
        ends = torch.stack([state[-1] for state in states])
        logits: Tensor = self._model.lm_head(trunk.norm(ends))
        return logits

    def _layer(
        self, place: int, layer: Any, rows: Sequence[Row], states: list[Tensor]
    ) -> list[Tensor]:
        attention, asked = layer.self_attn, []
        for row, state in zip(rows, states, strict=True):
            normed = layer.input_layernorm(state)
            shape = (len(normed), -1, attention.head_dim)
            asked.append(attention.q_norm(attention.q_proj(normed).view(shape)))
            key = attention.k_norm(attention.k_proj(normed).view(shape))
            self._keep((place, row.view[-1]), key, attention.v_proj(normed).view(shape))
        after = []
        for row, state, query in zip(rows, states, asked, strict=True):
            seen = [self._kept[place, name] for name in row.view]
            keys, values = (torch.cat(parts) for parts in zip(*seen, strict=True))
            state = state + attention.o_proj(self._attend(query, keys, values, attention.scaling))
            after.append(state + layer.mlp(layer.post_attention_layernorm(state)))
        return after

    def _keep(self, name: tuple[int, int], key: Tensor, value: Tensor) -> None:
        if name in self._kept:
            before = self._kept[name]
            key, value = torch.cat((before[0], key)), torch.cat((before[1], value))
        self._kept[name] = key, value

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
        length, new = len(keys), len(query)
        cos, sin = self._model.model.rotary_emb(keys, torch.arange(length)[None])
        padded = torch.cat((query.new_zeros(length - new, *query.shape[1:]), query))
        turned, keys = apply_rotary_pos_emb(
            padded.transpose(0, 1)[None], keys.transpose(0, 1)[None], cos, sin
        )
        logits = turned[0, :, -new:] @ keys[0].transpose(1, 2) * scale
        later = torch.arange(length) > torch.arange(length - new, length)[:, None]
        weights = logits.masked_fill(later, -torch.inf).softmax(dim=-1)
        seen: Tensor = (weights @ values.transpose(0, 1)).transpose(0, 1).flatten(1)
        return seen
