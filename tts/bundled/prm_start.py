"""How the reward model begins: as the policy, with a comparison of expected and found digits."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import Qwen2Model, Qwen3ForCausalLM

HEAD_SIZE = 64
FOCUS, SHARP = 6.6, 12  # size of the biases that look back, and the number of frequencies used
RIDGE = 1e-3
GAIN = 3.0  # of the comparison's channels, in units of the residual's size
GATE = 8.0


@torch.no_grad()
def start_from_policy(
    trunk: Qwen2Model, policy: Qwen3ForCausalLM, ids: Tensor, tag: int, newline: int
) -> None:
    """Take over the policy's weights; layers above them begin without effect.

    Qwen3 normalises each query and key, Qwen2 does not: the norm's weights and the mean size of
    queries and keys go into the projections, and a little training mends the rest (next-token
    loss 2 after the copy, 0.16 a hundred steps later, where the policy had 0.07). The tag begins
    as the token that separates steps.

    Args:
        trunk: Gets the weights.
        policy: Of the same width and heads, with as many layers or fewer.
        ids: [B, T] texts on which sizes are measured; right-padding does little harm.
        tag: Id of the step tag.
        newline: Id of the blank line.
    """
    sizes = _norm_inputs(policy, ids)
    weights, own = policy.state_dict(), trunk.state_dict()
    for name, value in weights.items():
        if (short := name.removeprefix("model.")) in own:
            own[short].copy_(value)
    for name, size in sizes.items():
        base = name.removeprefix("model.").removesuffix("_norm")
        scale = weights[f"{name}.weight"][None, :] / size[:, None]
        own[f"{base}_proj.weight"].mul_(scale.flatten()[:, None])
        own[f"{base}_proj.bias"].zero_()
    for index in range(policy.config.num_hidden_layers, trunk.config.num_hidden_layers):
        own[f"layers.{index}.self_attn.o_proj.weight"].zero_()
        own[f"layers.{index}.mlp.down_proj.weight"].zero_()
    table = own["embed_tokens.weight"]
    table[tag] = table[newline]


def _norm_inputs(policy: Qwen3ForCausalLM, ids: Tensor) -> dict[str, Tensor]:
    """Return the mean root mean square of each head's queries and keys, by name of the norm."""
    sizes: dict[str, Tensor] = {}
    hooks = []
    for name, module in policy.named_modules():
        if name.endswith(("q_norm", "k_norm")):

            def keep(_: nn.Module, args: tuple[Tensor], __: Tensor, name: str = name) -> None:
                sizes[name] = args[0].pow(2).mean(-1).sqrt().mean((0, 1))

            hooks.append(module.register_forward_hook(keep))
    policy.model(input_ids=ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    return sizes


@torch.no_grad()
def install_comparison(
    trunk: Qwen2Model, layer: int, ids: Tensor, digits: Sequence[int]
) -> tuple[float, float]:
    """Let a layer above the policy's begin as a comparison of each digit with the expected one.

    The state at a token holds which digit the policy expects next; the state after it, which digit
    came. Training alone did not find the comparison in thousands of steps: it is a product of two
    things that must first stand at one place. So its parts are solved for by least squares. The
    first head reads the token before and writes the expected digit into the residual's least used
    directions; the gates of the layer above read the digit that came, and their products add up to
    how much that digit was expected.

    Args:
        trunk: Whose layers below `layer` hold the policy's knowledge.
        layer: Index of the layer to set up; it had no effect before.
        ids: [B, T] right solutions, right-padded with an id that is no digit.
        digits: Ids of the ten digits.

    Returns:
        Shares of the variance that the two readings explain: of the digit that came, and of the
        digit expected.
    """
    states = trunk(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states[layer]
    table = torch.tensor(digits)
    came = torch.eq(ids[..., None], table).float()
    logits = trunk.norm(states) @ trunk.embed_tokens.weight.T
    expected = logits.softmax(-1)[..., table]
    size = states.pow(2).mean(-1).sqrt().mean()
    normed = states / states.pow(2).mean(-1, keepdim=True).sqrt()
    here = came.sum(-1) > 0
    before = torch.zeros_like(here)
    before[:, :-1] = here[:, 1:]
    read_came, share_came = _solve(normed[here], came[here])
    read_expected, share_expected = _solve(normed[before], expected[before])
    covariance = torch.cov(normed[here | before].T)
    quiet = torch.linalg.eigh(covariance).eigenvectors[:, : len(digits) + 1].T

    block = trunk.layers[layer]
    weights = block.state_dict()
    attention, mlp = (
        {name.removeprefix(part): weights[name] for name in weights if name.startswith(part)}
        for part in ("self_attn.", "mlp.")
    )
    _look_back(attention)
    attention["v_proj.weight"][: len(digits)] = read_expected
    attention["o_proj.weight"][:, : len(digits)] = GAIN * size * quiet[:-1].T
    mlp["gate_proj.weight"][: len(digits)] = GATE * read_came
    mlp["up_proj.weight"][: len(digits)] = quiet[:-1]
    mlp["down_proj.weight"][:, : len(digits)] = (size / GATE * quiet[-1])[:, None]
    return share_came, share_expected


def _solve(inputs: Tensor, targets: Tensor) -> tuple[Tensor, float]:
    """Return least squares weights [targets, inputs] and the share of variance explained."""
    gram = inputs.T @ inputs + RIDGE * len(inputs) * torch.eye(inputs.shape[1])
    weights = torch.linalg.solve(gram, inputs.T @ targets)
    rest = (inputs @ weights - targets).pow(2).sum() / (targets - targets.mean(0)).pow(2).sum()
    return weights.T, 1 - rest.item()


def _look_back(attention: dict[str, Tensor]) -> None:
    """Make the first head read the token before, and clear what the layer writes.

    Biases alone do it: with rotary positions their product depends on the distance only, and is
    largest at 1.
    """
    half = HEAD_SIZE // 2
    angles = 10000.0 ** (-torch.arange(half) / half)
    size = torch.where(torch.arange(half) < SHARP, FOCUS, 0.0)
    attention["q_proj.weight"][:HEAD_SIZE].zero_()
    attention["q_proj.bias"][:half] = size * angles.cos()
    attention["q_proj.bias"][half:HEAD_SIZE] = -size * angles.sin()
    attention["k_proj.weight"].zero_()
    attention["k_proj.bias"].zero_()
    attention["k_proj.bias"][:half] = size
    attention["v_proj.bias"].zero_()
    attention["o_proj.weight"].zero_()
