import math

import torch

from tests.kernels.helpers import Guarded, assert_attention_close, seeded
from tts.kernels import reference
from tts.kernels.contracts import Attention
from tts.kernels.merge import merge_ragged, merge_states


def parts(count: int) -> Attention:
    generator = seeded(6)
    out = torch.randn(count, 2, 2, 16, generator=generator)
    lse = 3.0 * torch.randn(count, 2, 2, generator=generator)
    lse[0, 0] = -torch.inf
    out[0, 0] = float("nan")  # nobody wrote it
    lse[:, 1, 1] = -torch.inf  # no part saw a key
    out[:, 1, 1] = float("nan")
    return Attention(out, lse)


def merged(partial: Attention) -> Attention:
    guarded = Guarded()
    out = Attention(
        guarded.empty(2, 2, 16, dtype=torch.float32), guarded.empty(2, 2, dtype=torch.float32)
    )
    merge_states(partial, out)
    guarded.check()
    return out


def test_by_hand() -> None:
    # Weights 1 : 3, so out = (1 * 8 + 3 * 4) / 4 = 5 and lse = log 4.
    out = torch.tensor([8.0, 4.0])[:, None, None, None].expand(2, 1, 1, 16).contiguous()
    lse = torch.tensor([0.0, math.log(3.0)])[:, None, None]
    target = Attention(torch.empty(1, 1, 16), torch.empty(1, 1))
    merge_states(Attention(out, lse), target)
    torch.testing.assert_close(target.out, torch.full((1, 1, 16), 5.0))
    torch.testing.assert_close(target.lse, torch.tensor([[math.log(4.0)]]))


def test_merge_is_the_reference() -> None:
    for count in (1, 3, 8):
        partial = parts(count)
        assert_attention_close(merged(partial), reference.merge_states(partial))


def test_grouping_does_not_matter() -> None:
    partial = parts(5)
    left = merged(Attention(partial.out[:2], partial.lse[:2]))
    right = merged(Attention(partial.out[2:], partial.lse[2:]))
    two = Attention(torch.stack([left.out, right.out]), torch.stack([left.lse, right.lse]))
    assert_attention_close(merged(two), merged(partial))


def test_ragged_is_the_reference_request_by_request() -> None:
    generator = seeded(7)
    offsets = torch.tensor([0, 1, 1, 12], dtype=torch.int32)  # one part, none, eleven
    partial = Attention(
        torch.randn(12, 2, 16, generator=generator), torch.randn(12, 2, generator=generator)
    )
    partial.lse[4] = -torch.inf
    partial.out[4] = float("nan")
    guarded = Guarded()
    out = Attention(
        guarded.empty(3, 2, 16, dtype=torch.float32), guarded.empty(3, 2, dtype=torch.float32)
    )
    merge_ragged(partial, offsets, out)
    guarded.check()
    for b, (start, end) in enumerate([(0, 1), (1, 1), (1, 12)]):
        rows = Attention(partial.out[start:end, None], partial.lse[start:end, None])
        expected = reference.merge_states(rows)
        actual = Attention(out.out[b : b + 1], out.lse[b : b + 1])
        assert_attention_close(actual, expected)
