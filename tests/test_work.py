"""Operations, traffic and seconds of a workload, worked by hand."""

from dataclasses import replace

import pytest

from tts.costs.flops import (
    SparseReading,
    Work,
    Workload,
    decode_kv_bytes,
    decode_work,
    effective_flops,
    kv_token_bytes,
    predicted_flops,
    prefill_work,
)
from tts.costs.hardware import (
    Hardware,
    fit_hardware,
    measure_hardware,
    prediction_accuracy,
)
from tts.errors import InputError
from tts.types import ModelInfo, Usage

# d = 2 layers * 4 = 8; Hq d = 48, Hkv d = 24; a token's KV has 2 * 24 * 2 = 96 bytes.
INFO = ModelInfo(
    "m", "f", parameters=1_000, layers=2, query_heads=6, kv_heads=3, head_size=4, dtype="bfloat16"
)


def test_decode_by_hand() -> None:
    work = decode_work(INFO, Workload(prompt_tokens=10, generated_tokens=3, num_samples=2))
    # Steps attend to 11, 12, 13 tokens: R = 36.
    assert work.flops == 2 * (2 * 1_000 * 3 + 4 * 48 * 36)
    assert work.kv_bytes == 96 * 2 * 36
    assert work.weight_bytes == 2_000 * 3  # read once per step for both samples
    assert work.num_bytes == 6_000 + 6_912


def test_a_larger_batch_shares_the_weights() -> None:
    load = Workload(10, 3, num_samples=2, batch=8)
    assert decode_work(INFO, load).weight_bytes == 2_000 * 3 * 2 / 8


def test_of_a_mixture_of_experts_a_token_uses_a_part() -> None:
    # 1,000 weights, 800 of them in experts of which a token uses a quarter: 200 + 200.
    experts = replace(INFO, active_parameters=400, expert_share=0.25)
    assert decode_work(experts, Workload(0, 1)).flops == 2 * 400 + 4 * 48
    assert predicted_flops(experts, Usage(prompt_tokens=0, generated_tokens=1)) == 2 * 400 + 4 * 48
    assert decode_work(experts, Workload(0, 1)).weight_bytes == pytest.approx(2 * 400)
    # Two sequences leave 0.75^2 of the experts unread: 1,000 - 800 * 0.5625 = 550.
    assert decode_work(experts, Workload(0, 1, num_samples=2)).weight_bytes == pytest.approx(
        2 * 550
    )
    assert prefill_work(experts, Workload(2, 1)).weight_bytes == pytest.approx(2 * 550)
    many = Workload(0, 1, num_samples=64)
    assert decode_work(experts, many).weight_bytes == pytest.approx(2 * 1_000, rel=1e-6)


def test_packed_weights_are_read_with_their_own_bits() -> None:
    packed = replace(INFO, weight_bits=4.5)
    assert decode_work(packed, Workload(10, 3)).weight_bytes == 3 * 1_000 * 4.5 / 8
    assert decode_work(packed, Workload(10, 3)).flops == decode_work(INFO, Workload(10, 3)).flops
    assert kv_token_bytes(packed) == kv_token_bytes(INFO)


def test_a_shared_prefix_is_read_once_for_all_samples() -> None:
    load = Workload(10, 3, num_samples=2, shares_prefix=True)
    # Prompt 10 tokens in 3 steps, generated 1 + 2 + 3 = 6 for each of two samples.
    assert decode_work(INFO, load).kv_bytes == 96 * (10 * 3 + 2 * 6)
    more = replace(load, num_samples=4)
    grown = decode_work(INFO, more).kv_bytes - decode_work(INFO, load).kv_bytes
    assert grown == 96 * 2 * 6  # doubling N doubles the generated part, not the prompt's


def test_sparse_reading_by_hand() -> None:
    sparse = SparseReading(kept_tokens=12, block_tokens=4, summaries=1)
    work = decode_work(INFO, Workload(10, 3, sparse=sparse))
    # Steps read min(12, 11 12 13) = 35 tokens and look at 36 / 4 = 9 summaries of 48 bytes.
    assert work.kv_bytes == 96 * 35 + 48 * 9
    assert work.flops == 2 * 1_000 * 3 + 4 * 48 * 35 + 2 * 48 * 9


def test_dense_layers_and_short_steps_read_everything() -> None:
    sparse = SparseReading(12, block_tokens=4, dense_layers=1, min_context=11)
    work = decode_work(INFO, Workload(10, 3, sparse=sparse))
    # Of 11, 12, 13 tokens one layer reads 36. The other reads 11, 12, 12 and, in the last two
    # steps, 25 / 4 summaries of half a token's bytes.
    assert work.kv_bytes == 48 * 36 + 48 * 35 + 24 * 25 / 4


def test_kv_bytes_of_one_sequence() -> None:
    # The first token comes with the prompt; three more attend to 11, 12, 13 tokens.
    assert decode_kv_bytes(INFO, 10, 4) == 96 * 36
    assert decode_kv_bytes(INFO, 10, 4, SparseReading(12, block_tokens=4)) == 96 * 35 + 48 * 9
    assert decode_kv_bytes(INFO, 10, 1) == decode_kv_bytes(INFO, 10, 0) == 0
    assert decode_kv_bytes(ModelInfo("m", "f"), 10, 4) is None


def test_sparse_with_room_for_all_reads_what_dense_reads() -> None:
    dense = decode_work(INFO, Workload(10, 30))
    roomy = SparseReading(kept_tokens=40, summaries=0)
    assert decode_work(INFO, Workload(10, 30, sparse=roomy)) == dense


def test_the_formula_of_kinetics_but_for_the_diagonal() -> None:
    length = 1_000
    work = decode_work(INFO, Workload(0, length))
    assert work.flops == pytest.approx(2 * 1_000 * length + 2 * length**2 * 48, rel=1e-3)
    work = decode_work(INFO, Workload(200, length, num_samples=4, shares_prefix=True))
    # Bytes at 2 per element: 2 (2 c + L N) L Hkv d.
    assert work.kv_bytes == pytest.approx(2 * (400 + 4 * length) * length * 24, rel=1e-3)


def test_prefill_and_decode_are_what_the_ledger_counts() -> None:
    load = Workload(10, 3, cached_tokens=4)
    usage = Usage(prompt_tokens=10, cached_tokens=4, generated_tokens=3)
    total = prefill_work(INFO, load) + decode_work(INFO, load)
    assert total.flops == predicted_flops(INFO, usage)
    assert prefill_work(INFO, load).kv_bytes == 4 * 96
    assert prefill_work(INFO, replace(load, cached_tokens=10)) == Work(0, 0, 0)


def test_a_byte_has_a_price_in_operations() -> None:
    assert effective_flops(100, 3) == 100 + 562.5 * 3


def test_an_unknown_shape_is_refused() -> None:
    for missing in (replace(INFO, kv_heads=None), replace(INFO, dtype="odd")):
        with pytest.raises(InputError, match="shape of m is unknown"):
            kv_token_bytes(missing)


def test_rates_that_are_not_positive_are_refused() -> None:
    with pytest.raises(InputError, match="positive"):
        Hardware("none", 0.0, 1.0)


def test_a_profile_is_found_from_measured_times() -> None:
    true = (2e6, 5e6, 1e-4)
    loads = [
        Workload(c, length, num_samples=n)
        for c in (10, 200)
        for length in (20, 100)
        for n in (1, 8, 32)
    ]
    seconds = []
    for load in loads:
        work = prefill_work(INFO, load) + decode_work(INFO, load)
        steps = load.generated_tokens + 1
        seconds.append(work.flops / true[0] + work.num_bytes / true[1] + steps * true[2])
    found = fit_hardware("fitted", INFO, loads, seconds)
    assert (found.flops_per_second, found.bytes_per_second) == pytest.approx(true[:2], rel=1e-3)
    assert found.step_seconds == pytest.approx(true[2], rel=1e-2)
    with pytest.raises(InputError, match="three measured"):
        fit_hardware("few", INFO, loads[:2], seconds[:2])


def test_predictions_are_judged_by_rank_and_error() -> None:
    # Ranks 1 2 3 and 1 3 2: 1 - 6 * 2 / (3 * 8) = 0.5. Errors 0, 1/3, 1/2: median 1/3.
    found = prediction_accuracy([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    assert found.rank_correlation == pytest.approx(0.5)
    assert found.median_error == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="positive"):
        prediction_accuracy([1.0, 0.0], [1.0, 1.0])


def test_this_machine_can_be_measured() -> None:
    found = measure_hardware(seconds=0.0)
    assert found.flops_per_second > 1e8
    assert found.bytes_per_second > 1e7
