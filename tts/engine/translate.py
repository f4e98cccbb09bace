"""Between our values and vLLM's: arguments, sampling parameters, outputs, model description."""

import hashlib
import math
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tts.costs.flops import SparseReading, decode_kv_bytes, sequence_flops
from tts.engine import kv
from tts.engine.certainty import Readings
from tts.engine.choices import settings_of
from tts.engine.model_files import folder_digest
from tts.engine.sparse_config import SparseConfig
from tts.engine.weights import Tensor, Weights, tensors_in, weights_of
from tts.errors import CapabilityError, EngineError, RefusedError
from tts.logprobs import confidences, floored
from tts.types import (
    Completion,
    FinishReason,
    Likelihood,
    ModelInfo,
    Sampling,
    States,
    Usage,
)
from tts.types.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Finished:
    """vLLM's output of one sequence.

    Attributes:
        output: As vLLM gave it.
        prompt_token_ids: Of its prompt.
        seconds: From submission to last token.
        readings: How certain the model was, if that was asked.
        states: Its hidden states, if they were asked for and none is missing.
    """

    output: Any
    prompt_token_ids: tuple[int, ...]
    seconds: float
    readings: Readings | None = None
    states: States | None = None


_FILE_DTYPES = {
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.int32": "I32",
    "torch.uint8": "U8",
}
SEED_KEY = "tts_seed"  # where a sequence's seed travels to our sampler
_FINISH: dict[str | None, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "abort": "cancelled",
}


def sampling_params(sampling: Sampling, *, max_tokens: int, is_watched: bool = False) -> Any:
    """Return vLLM's parameters, without a seed, for a completion reported once it is finished.

    One that is watched is reported after every step.

    Raises:
        RefusedError: A value is out of range, or `extra_body` names a setting that vLLM lacks.
    """
    vllm = import_module("vllm.sampling_params")
    try:
        return vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            max_tokens=max_tokens,
            stop=list(sampling.stop) or None,
            logprobs=sampling.logprobs,
            flat_logprobs=sampling.logprobs is not None,
            output_kind=vllm.RequestOutputKind.CUMULATIVE
            if is_watched
            else vllm.RequestOutputKind.FINAL_ONLY,
            **_extras(vllm, sampling.extra_body),
        )
    except (TypeError, ValueError) as error:
        raise RefusedError(f"vLLM refuses the sampling parameters: {error}") from error


def _extras(vllm: Any, extra_body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a server's `extra_body` says, as vLLM's own class takes it."""
    extras = dict(extra_body)
    if isinstance(structure := extras.get("structured_outputs"), Mapping):
        extras["structured_outputs"] = vllm.StructuredOutputsParams(**structure)
    return extras


def with_extra(params: Any, key: str, value: Any) -> Any:
    """Return a copy of vLLM's parameters that carries a value to our sampler or processors."""
    params = copy(params)
    params.extra_args = {**(params.extra_args or {}), key: value}
    return params


@dataclass(frozen=True, slots=True)
class Meter:
    """Counts what calls of one engine cost.

    Attributes:
        info: Its model.
        sparse: What its decode steps read; None is everything.
    """

    info: ModelInfo
    sparse: SparseReading | None = None

    def usage(self, prompt: int, *, cached: int, generated: int, seconds: float) -> Usage:
        """Return the cost of one call; what this engine does not measure is None."""
        dense, read = decode_kv_bytes(self.info, prompt, generated), self.sparse
        return Usage(
            prompt_tokens=prompt,
            cached_tokens=cached,
            generated_tokens=generated,
            calls=1,
            kv_block_seconds=None,
            peak_kv_blocks=math.ceil((prompt + generated) / (self.info.kv_block_size or 1)),
            flops=sequence_flops(self.info, prompt, generated, cached=cached),
            seconds=seconds,
            usd=0.0,
            kv_bytes=decode_kv_bytes(self.info, prompt, generated, read) if read else dense,
            dense_kv_bytes=dense,
        )


def build_meter(engine: Any, info: ModelInfo) -> Meter:
    """Return the meter of a vLLM engine.

    Args:
        engine: vLLM's engine.
        info: As `model_info` describes it.
    """
    return Meter(info, _sparse_reading(engine.vllm_config))


def _sparse_reading(config: Any) -> SparseReading | None:
    """Return what decoding reads of the KV cache; None for all of it."""
    sparse = SparseConfig.from_vllm(config.additional_config)
    if sparse is None:
        return None
    page_size = config.cache_config.block_size
    return SparseReading(
        kept_tokens=sparse.budget,
        block_tokens=page_size,
        dense_layers=sparse.dense_layers,
        min_context=max(sparse.sparse_above, sparse.budget - page_size),
    )


@dataclass(frozen=True, slots=True)
class Pooled:
    """What a pooling model said of one prompt."""

    values: FloatArray
    usage: Usage


def pooling_params(options: Mapping[str, Any]) -> Any:
    """Return vLLM's parameters for a pooling model."""
    return import_module("vllm.pooling_params").PoolingParams(**options)


def reading_params(*, is_pooling: bool, whole: bool) -> Any:
    """Return vLLM's parameters for a text that is read for its states.

    Args:
        is_pooling: Whether by the pooling runner.
        whole: Whether what is cached of it is read again.
    """
    if is_pooling:
        return pooling_params({"task": "embed", "skip_reading_prefix_cache": whole})
    vllm = import_module("vllm.sampling_params")
    return vllm.SamplingParams(
        max_tokens=1,
        detokenize=False,
        skip_reading_prefix_cache=whole,
        output_kind=vllm.RequestOutputKind.FINAL_ONLY,
    )


def likelihood_params() -> Any:
    """Return vLLM's parameters for a text that is read for its tokens' log-probabilities.

    vLLM reads such a text whole, whatever its prefix cache holds.
    """
    vllm = import_module("vllm.sampling_params")
    return vllm.SamplingParams(
        max_tokens=1,
        prompt_logprobs=0,
        detokenize=False,
        output_kind=vllm.RequestOutputKind.FINAL_ONLY,
    )


def likelihood(finished: Finished, meter: Meter, *, size: int) -> Likelihood:
    """Take the log-probabilities of the last `size` tokens that were read.

    Raises:
        EngineError: vLLM left some out.
    """
    ids, rows = finished.prompt_token_ids[-size:], finished.output.prompt_logprobs or ()
    found = [row.get(token) for token, row in zip(ids, rows[-size:], strict=False) if row]
    if len(found) < size or None in found:
        raise EngineError("vLLM left out log-probabilities of the text that it read")
    cost = meter.usage(
        len(finished.prompt_token_ids),
        cached=finished.output.num_cached_tokens or 0,
        generated=0,
        seconds=finished.seconds,
    )
    return Likelihood(floored([one.logprob for one in found if one is not None]), cost)


def right_column(values: FloatArray) -> tuple[float, ...]:
    """Return the probability of "right" in each row of classes, [R, C] or [C].

    Of two classes (Qwen2.5-Math-PRM) the second is the right one. A single one (Skywork-PRM) is the
    score itself: vLLM takes the sigmoid of one logit and the softmax of more.

    Raises:
        CapabilityError: There are more than two classes; none is known to be the right one.
    """
    rows = np.atleast_2d(values)
    if rows.ndim != 2 or rows.shape[1] not in (1, 2):
        raise CapabilityError(
            f"the model gives values of shape {list(values.shape)}; a reward model has one or two "
            "classes, wrong and right"
        )
    return tuple(rows[:, -1].tolist())


def pooled(finished: Finished, meter: Meter) -> Pooled:
    """Take the values of a pooling model's finished request."""
    output = finished.output
    cost = meter.usage(
        len(finished.prompt_token_ids),
        cached=output.num_cached_tokens or 0,
        generated=0,
        seconds=finished.seconds,
    )
    return Pooled(output.outputs.data.float().numpy(), cost)


@dataclass(frozen=True, slots=True)
class Reading:
    """The states of a text that was read, None if vLLM left some out, and its cost."""

    states: States | None
    usage: Usage


def read_states(finished: Finished, meter: Meter) -> Reading:
    """Take the states of a text that was read."""
    cost = meter.usage(
        len(finished.prompt_token_ids),
        cached=finished.output.num_cached_tokens or 0,
        generated=0,
        seconds=finished.seconds,
    )
    return Reading(finished.states, cost)


def completion(finished: Finished, meter: Meter) -> Completion:
    """Make a completion of one finished sequence.

    Args:
        finished: With vLLM's RequestOutput.
        meter: Of the engine.
    """
    output = finished.output
    done = output.outputs[0]
    prompt_ids, token_ids = finished.prompt_token_ids, done.token_ids
    finish = _FINISH.get(done.finish_reason, "error")
    logprobs, confident = _logprobs(done.logprobs)
    readings = finished.readings and finished.readings.of_first(len(token_ids))
    entropies, self_certainties = readings or (None, None)
    return Completion(
        index=done.index,
        text=done.text,
        finish_reason=finish,
        usage=meter.usage(
            len(prompt_ids),
            cached=output.num_cached_tokens or 0,
            generated=len(token_ids),
            seconds=finished.seconds,
        ),
        prompt_token_ids=prompt_ids,
        token_ids=tuple(token_ids),
        stop_string=done.stop_reason if isinstance(done.stop_reason, str) else None,
        logprobs=logprobs,
        confidences=confident,
        entropies=entropies,
        self_certainties=self_certainties,
        states=finished.states,
        error=f"vLLM ended it with {done.finish_reason!r}" if finish == "error" else None,
    )


def _logprobs(
    flat: Any,
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Split vLLM's flat rows: the drawn token's value, then those of the k likeliest tokens."""
    if flat is None:
        return None, None
    if len(flat) == 0:
        return (), ()
    rows = np.asarray(flat.logprobs, dtype=np.float64).reshape(len(flat), -1)
    chosen = floored(rows[:, 0].tolist())
    return chosen, confidences(rows[:, 1:]) if rows.shape[1] > 1 else None


def model_info(engine: Any, *, name: str, path: Path | None) -> ModelInfo:
    """Describe the model of a vLLM engine that has been built.

    Args:
        engine: vLLM's engine.
        name: As the user named the model.
        path: Folder of the model's files; None for a model from a hub.
    """
    config = engine.vllm_config
    model, parallel = config.model_config, config.parallel_config
    dtype = str(model.dtype).removeprefix("torch.")
    source = folder_digest(path) if path else getattr(model.hf_config, "_commit_hash", None)
    sparse = SparseConfig.from_vllm(config.additional_config)
    reading = _sparse_reading(config)
    weights = _weights(engine, model, path)
    facts = (name if path is None else "", source, dtype, model.quantization, _version(), sparse)
    return ModelInfo(
        name=name,
        fingerprint=hashlib.sha256(repr(facts).encode()).hexdigest()[:16],
        parameters=weights.parameters,
        active_parameters=weights.active,
        expert_share=weights.expert_share,
        weight_bits=weights.bits,
        layers=model.get_total_num_hidden_layers(),
        query_heads=model.get_num_attention_heads(parallel),
        kv_heads=model.get_total_num_kv_heads(),
        head_size=model.get_head_size(),
        dtype=dtype,
        context_tokens=model.max_model_len,
        kv_block_size=config.cache_config.block_size,
        kv_blocks=kv.num_blocks(engine) - 1,  # without vLLM's null block
        settings=settings_of(config) | ({"sparse": asdict(reading)} if reading else {}),
        weights=source,
    )


def _weights(engine: Any, model: Any, path: Path | None) -> Weights:
    """Count the weights in the model's files; the CPU kernels repack them in memory."""
    tensors = list(tensors_in(path)) if path else []
    if not tensors and (loaded := engine._get_driver_model_for_cleanup()) is not None:
        tensors = [
            Tensor(name, _FILE_DTYPES.get(str(p.dtype), ""), tuple(p.shape))
            for name, p in loaded.named_parameters()
        ]
    return weights_of(model.hf_config.to_dict(), tensors)


def _version() -> str:
    return str(import_module("vllm").__version__)
